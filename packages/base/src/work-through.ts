/** Many items, some at a time. */

/**
 * Does `work` for every item, in their order, for at most `atOnce` of them at the same time.
 * @returns what was made of them, in the items' order.
 * @throws the first failure, when all were tried and nothing is under way any more.
 */
export async function workThrough<Item, Result>(
  items: Iterable<Item>,
  atOnce: number,
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const list = [...items];
  const results: Result[] = [];
  const failures: unknown[] = [];
  // One iterator for all: whoever is done takes what nobody has begun.
  const left = list.entries();
  const worker = async (): Promise<void> => {
    for (const [index, item] of left) {
      try {
        results[index] = await work(item);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, list.length) }, worker));
  if (failures.length > 0) throw failures[0];
  return results;
}
