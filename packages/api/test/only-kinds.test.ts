import { expect, it } from 'vitest';

import { sessionCodecs } from '../src/testing.ts';

it('a heartbeat is the same bytes and the same object each time, and nobody can change it', () => {
  const { fromAgent, fromManager } = sessionCodecs();
  const bytes = fromAgent.encode({ kind: 'heartbeat' });
  expect(fromAgent.encode({ kind: 'heartbeat' })).toBe(bytes);
  const heard = fromAgent.decode(bytes);
  expect(heard).toEqual({ kind: 'heartbeat' });
  expect(fromAgent.decode(bytes)).toBe(heard);
  expect(Object.isFrozen(heard)).toBe(true);
  expect(fromManager.decode(fromManager.encode({ kind: 'heartbeat' }))).toEqual(heard);
});

it('what says more than its kind is encoded as it is', () => {
  const { fromManager } = sessionCodecs();
  const told = [1, 2].map((sequence) => fromManager.encode({ kind: 'status-ack', sequence }));
  expect(told.map((bytes) => fromManager.decode(bytes))).toEqual([
    { kind: 'status-ack', sequence: 1 },
    { kind: 'status-ack', sequence: 2 },
  ]);
  const empty = fromManager.encode({ kind: 'status-ack', sequence: 0 });
  expect(fromManager.decode(empty)).toEqual({ kind: 'status-ack', sequence: 0 });
});
