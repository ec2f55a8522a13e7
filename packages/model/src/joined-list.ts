/**
 * Lists that are made of parts which many others are made of, too: what has changed in a part is then
 * found out once for all of them. A joined list is a list like any other; who knows of its parts may use them.
 */

const parts = new WeakMap<object, ReadonlyMap<string, readonly unknown[]>>();

/** All items, part by part. The parts must stay as they are, and no item may be in two. */
export function joinList<T>(of: ReadonlyMap<string, readonly T[]>): readonly T[] {
  const list = [...of.values()].flatMap((part) => part);
  parts.set(list, of);
  return list;
}

/** What `joinList` was given; undefined for other lists. */
export function partsOf<T>(list: readonly T[]): ReadonlyMap<string, readonly T[]> | undefined {
  return parts.get(list) as ReadonlyMap<string, readonly T[]> | undefined;
}
