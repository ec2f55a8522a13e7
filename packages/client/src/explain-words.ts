/** Numbers and times in the sentences of `explain`. */
const SECOND_MS = 1_000;

/** "1 task", "2 tasks". */
export function many(count: number, one: string, several: string): string {
  return `${count} ${count === 1 ? one : several}`;
}

/** "5 s ago"; clocks differ, so nothing is in the future. */
export function ago(at: number, now: number): string {
  return `${seconds(Math.max(0, now - at))} ago`;
}

/** "5 s", from milliseconds. */
export function seconds(ms: number): string {
  return `${Math.round(ms / SECOND_MS)} s`;
}
