import { expect, it } from 'vitest';

import { workThrough } from '../src/index.ts';
import { settled } from './support/loop-under-test.ts';

it('so many at a time, begun in their order; whoever is done takes the next; results in the order of the items', async () => {
  const begun: string[] = [];
  const gates = new Map(['a', 'b', 'c', 'd'].map((name) => [name, Promise.withResolvers<void>()]));
  const done = workThrough(gates.keys(), 2, async (name) => {
    begun.push(name);
    await gates.get(name)?.promise;
    return name.toUpperCase();
  });
  await settled();
  expect(begun).toEqual(['a', 'b']);
  gates.get('b')?.resolve();
  await settled();
  expect(begun).toEqual(['a', 'b', 'c']);
  for (const gate of gates.values()) gate.resolve();
  expect(await done).toEqual(['A', 'B', 'C', 'D']);
});

it('the first failure is told when all were tried and none is under way', async () => {
  const slow = Promise.withResolvers<void>();
  const ended: number[] = [];
  const done = workThrough([1, 2, 3, 4], 2, async (item) => {
    if (item === 1) await slow.promise;
    if (item > 1 && item < 4) throw new Error(`no ${item}`);
    ended.push(item);
  });
  let isOver = false;
  done.catch(() => (isOver = true));
  await settled();
  expect(ended).toEqual([4]);
  expect(isOver).toBe(false);
  slow.resolve();
  await expect(done).rejects.toThrow('no 2');
  expect(ended).toEqual([4, 1]);
});

it('nothing to do is done', async () => {
  expect(await workThrough([], 3, () => Promise.reject(new Error('never')))).toEqual([]);
});
