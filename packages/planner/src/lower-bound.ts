/** Places in sorted lists. */

/** @returns the first place of `items` whose item is not before what is looked for; their number if all are. */
export function lowerBound<T>(items: readonly T[], isBefore: (item: T) => boolean): number {
  let [from, to] = [0, items.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    if (isBefore(items[middle] as T)) from = middle + 1;
    else to = middle;
  }
  return from;
}
