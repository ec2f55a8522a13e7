/** Lists that are drawn anew keep the identity of what did not change: comparing them is then cheap. */
import { sameSpec } from '../task-view.ts';

/** The items of `after`, each as it was in `before` where equal; the list itself where all are. */
export function keep<T extends object>(
  before: readonly T[] | undefined,
  after: readonly T[],
  keyOf: (item: T) => string,
): readonly T[] {
  if (before === undefined) return after;
  let old: Map<string, T> | undefined;
  const list = after.map((item, index) => {
    const same = before[index];
    if (same === item) return item;
    if (same !== undefined && sameSpec(same, item)) return same;
    old ??= new Map(before.map((one) => [keyOf(one), one]));
    const known = old.get(keyOf(item));
    return known !== undefined && sameSpec(known, item) ? known : item;
  });
  const unchanged = list.length === before.length && list.every((item, at) => item === before[at]);
  return unchanged ? before : list;
}
