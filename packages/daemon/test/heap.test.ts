/** When a process's heap may grow. */
import { expect, it } from 'vitest';

import { growsPercent, nextMode, type HeapState, type Mode } from '../src/heap.ts';

const MIB = 1024 ** 2;

function after(
  utilizations: readonly number[],
  { heapBytes = 30 * MIB, busyLooks = 1 }: { heapBytes?: number; busyLooks?: number } = {},
): Mode {
  let state: HeapState = { mode: 'idle', quiet: 0, busy: 0 };
  for (const utilization of utilizations)
    state = nextMode(state, { utilization, heapBytes }, busyLooks);
  return state.mode;
}

const quiet = (looks: number): number[] => Array.from({ length: looks }, () => 0.01);

it('is busy with the first busy look', () => {
  expect(after([0.5])).toBe('busy');
});

it('is not made busy by less than the looks that it takes, in a row', () => {
  expect(after([0.5, 0.5, 0.1, 0.5, 0.5], { busyLooks: 3 })).toBe('idle');
  expect(after([0.5, 0.5, 0.5], { busyLooks: 3 })).toBe('busy');
});

it('stays busy over a pause, and while it does a little', () => {
  expect(after([0.5, ...quiet(9)])).toBe('busy');
  expect(after([0.5, ...quiet(9), 0.1, ...quiet(9)])).toBe('busy');
});

it('is idle again after a long quiet time', () => {
  expect(after([0.5, ...quiet(10)])).toBe('idle');
});

it('is never idle with a large heap', () => {
  expect(after(quiet(20), { heapBytes: 200 * MIB })).toBe('large');
  expect(after([0.5, ...quiet(20)], { heapBytes: 200 * MIB })).toBe('large');
});

const GIB = 1024 * MIB;

it.each([
  { heapMib: 120, memoryGib: 24, percent: 853, why: 'half of it stays: 60 MiB may become 572' },
  { heapMib: 600, memoryGib: 24, percent: 171, why: '300 may become 812' },
  { heapMib: 900, memoryGib: 24, percent: 150, why: 'at least two and a half times as much' },
  { heapMib: 120, memoryGib: 4, percent: 213, why: 'a thirty-second part of a small machine' },
  { heapMib: 120, memoryGib: 1, percent: 150, why: 'as before on a tiny one' },
])('lets $heapMib MiB on $memoryGib GiB grow by $percent %: $why', (one) => {
  expect(growsPercent(one.heapMib * MIB, one.memoryGib * GIB)).toBe(one.percent);
});
