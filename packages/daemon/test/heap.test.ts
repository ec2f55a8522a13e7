/** When the manager's heap may grow. */
import { expect, it } from 'vitest';

import { nextMode, type Mode } from '../src/manager/heap.ts';

const MIB = 1024 ** 2;

function after(utilizations: readonly number[], heapBytes = 30 * MIB): Mode {
  let state: { mode: Mode; quiet: number } = { mode: 'idle', quiet: 0 };
  for (const utilization of utilizations) state = nextMode(state, { utilization, heapBytes });
  return state.mode;
}

const quiet = (looks: number): number[] => Array.from({ length: looks }, () => 0.01);

it('is busy with the first busy look', () => {
  expect(after([0.5])).toBe('busy');
});

it('stays busy over a pause, and while it does a little', () => {
  expect(after([0.5, ...quiet(9)])).toBe('busy');
  expect(after([0.5, ...quiet(9), 0.1, ...quiet(9)])).toBe('busy');
});

it('is idle again after a long quiet time', () => {
  expect(after([0.5, ...quiet(10)])).toBe('idle');
});

it('is never idle with a large heap', () => {
  expect(after(quiet(20), 200 * MIB)).toBe('busy');
});
