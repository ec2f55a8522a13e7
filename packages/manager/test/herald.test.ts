import { expect, it } from 'vitest';

import { Herald } from '../src/dispatcher/herald.ts';
import { HERALD_SLICE_MS, HERALD_SLICE_SESSIONS } from '../src/limits.ts';

it('tells a slice in each turn, everybody in the end, and each once', () => {
  const turns: (() => void)[] = [];
  const told: number[] = [];
  const herald = new Herald<number>({
    nextTurn: (fn) => void turns.push(fn),
    clock: { monotonic: () => 0 },
    tell: (one) => void told.push(one),
  });
  const all = Array.from({ length: HERALD_SLICE_SESSIONS * 2 + 1 }, (_, at) => at);
  for (const one of [...all, ...all]) herald.add(one);
  herald.forget(3);
  const sizes: number[] = [];
  for (let turn = turns.shift(); turn !== undefined; turn = turns.shift()) {
    turn();
    sizes.push(told.length);
  }
  expect(sizes).toEqual([HERALD_SLICE_SESSIONS, HERALD_SLICE_SESSIONS * 2]);
  expect(told).toEqual(all.filter((one) => one !== 3));
});

it('ends a turn that takes too long, and still tells one in each', () => {
  const turns: (() => void)[] = [];
  const told: number[] = [];
  let now = 0;
  const herald = new Herald<number>({
    nextTurn: (fn) => void turns.push(fn),
    clock: { monotonic: () => now },
    tell: (one) => {
      told.push(one);
      now += one;
    },
  });
  const long = HERALD_SLICE_MS;
  for (const one of [1, long - 1, 2 * long, 3 * long]) herald.add(one);
  const sizes: number[] = [];
  for (let turn = turns.shift(); turn !== undefined; turn = turns.shift()) {
    turn();
    sizes.push(told.length);
  }
  expect(sizes).toEqual([2, 3, 4]);
});
