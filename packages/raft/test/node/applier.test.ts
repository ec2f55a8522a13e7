import { ManualClock } from '@swarmd/base/testing';
import { expect, test } from 'vitest';

import { encodeConfChange } from '../../src/core/conf-change-codec.ts';
import type { Entry } from '../../src/core/types.ts';
import { Applier } from '../../src/node/applier.ts';
import { APPLY_WAIT_BYTES, APPLY_WAIT_MS } from '../../src/node/limits.ts';

function normal(index: number, bytes = 1): Entry {
  return { index, term: 1, kind: 'normal', data: new Uint8Array(bytes) };
}

const CHANGE: Entry = {
  index: 2,
  term: 1,
  kind: 'confChange',
  data: encodeConfChange({ transition: 'auto', steps: [], context: new Uint8Array() }),
};

/** An applier, and what the main thread got of it: "at 3 ms: 1-2". */
function applying() {
  const clock = new ManualClock();
  const got: string[] = [];
  const applier = new Applier(0, {
    clock,
    post: ({ first, terms }) => {
      got.push(`at ${clock.now()} ms: ${first}-${first + terms.length - 1}`);
    },
    takeDone: () => [],
    onConfChange: () => undefined,
    onApplied: () => undefined,
  });
  return { clock, got, applier };
}

test('what need not wait is handed over at once', () => {
  const { got, applier } = applying();
  applier.push([normal(1)]);
  applier.push([normal(2), normal(3)]);
  expect(got).toEqual(['at 0 ms: 1-1', 'at 0 ms: 2-3']);
});

test('what may wait is handed over with what comes meanwhile', () => {
  const { clock, got, applier } = applying();
  applier.push([normal(1)], true);
  clock.advance(APPLY_WAIT_MS - 1);
  applier.push([normal(2)], true);
  expect(got).toEqual([]);
  clock.advance(100);
  applier.push([normal(3)], true);
  clock.advance(100);
  expect(got).toEqual([
    `at ${APPLY_WAIT_MS} ms: 1-2`,
    `at ${APPLY_WAIT_MS - 1 + 100 + APPLY_WAIT_MS} ms: 3-3`,
  ]);
});

test('what need not wait takes along what waits, in order and once', () => {
  const { clock, got, applier } = applying();
  applier.push([normal(1)], true);
  applier.push([normal(2)]);
  clock.advance(100);
  expect(got).toEqual(['at 0 ms: 1-2']);
});

test('who reads does not wait for what is there, nor for what is on its way', () => {
  const { clock, got, applier } = applying();
  applier.push([normal(1)], true);
  applier.want(2);
  clock.advance(1);
  applier.push([normal(2)], true);
  applier.push([normal(3)], true);
  expect(got).toEqual(['at 0 ms: 1-1', 'at 1 ms: 2-2']);
});

test('a membership change does not wait', () => {
  const { got, applier } = applying();
  applier.push([normal(1)], true);
  applier.push([CHANGE], true);
  expect(got).toEqual(['at 0 ms: 1-2']);
});

test('much does not wait', () => {
  const { got, applier } = applying();
  applier.push([normal(1)], true);
  applier.push([normal(2, APPLY_WAIT_BYTES)], true);
  expect(got).toEqual(['at 0 ms: 1-2']);
});

test('what a snapshot has is not handed over as well', () => {
  const { clock, got, applier } = applying();
  applier.push([normal(1)], true);
  applier.supersede(5);
  clock.advance(100);
  applier.push([normal(6)]);
  applier.restored(5);
  expect(got).toEqual(['at 100 ms: 6-6']);
});

test('nothing is handed over after the end', () => {
  const { clock, got, applier } = applying();
  applier.push([normal(1)], true);
  applier.stop();
  clock.advance(100);
  expect(got).toEqual([]);
});
