/** Numbers in sentences for people. */

/** "1 replica is wanted", "3 replicas are wanted". */
export function areWanted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? ' is' : 's are'} wanted`;
}

/** "1 exists", "3 exist". */
export function exist(count: number): string {
  return `${count} exist${count === 1 ? 's' : ''}`;
}

/** "once", "3 times". */
export function times(count: number): string {
  return count === 1 ? 'once' : `${count} times`;
}
