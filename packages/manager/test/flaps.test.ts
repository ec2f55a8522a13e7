import { asId, clusterSpec, type Node } from '@swarmd/model';
import { describe, expect, it } from 'vitest';

import {
  countedLoss,
  heldBack,
  lossesOf,
  released,
  replacementTimes,
} from '../src/leadership/flaps.ts';

const MINUTE_MS = 60_000;
const terms = clusterSpec.parse({});

function node(name: string, status: Partial<Node['status']> = {}): Node {
  return {
    id: asId('node', name),
    meta: { version: 1, createdAt: 0, updatedAt: 0 },
    spec: { labels: {}, role: 'worker', availability: 'active' },
    role: 'worker',
    index: 1,
    gatewaySubnet: '',
    ingressAddress: '',
    status: { state: 'ready', message: '', address: '', agentAddress: '', since: 0, ...status },
  };
}

/** Lost and back at once, at these minutes. @returns for how many seconds it is held back each time. */
function holds(minutes: readonly number[], more: object = {}): number[] {
  const own = { ...terms, ...more };
  let { status } = node('n');
  return minutes.map((minute) => {
    const now = minute * MINUTE_MS;
    status = { ...status, ...countedLoss(status, now, own) };
    const back = heldBack(status, now, own);
    status = { ...status, ...back };
    return back.heldUntil === undefined ? 0 : (back.heldUntil - now) / 1_000;
  });
}

describe('a node that comes and goes', () => {
  it.each<[string, number[], number[], object?]>([
    ['the first loss is forgiven', [0], [0]],
    [
      'the second one in a short time is not, and then it doubles',
      [0, 1, 2, 3, 4],
      [0, 10, 20, 40, 40],
    ],
    [
      'what passes meanwhile counts',
      [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
      [0, 10, 20, 40, 40, 80, 160, 160, 320, 320],
    ],
    ['what is long ago counts no more', [0, 30, 60, 90], [0, 0, 0, 0]],
    ['quiet days heal', [0, 1, 2, 120, 121], [0, 10, 20, 0, 10]],
    ['it can be turned off', [0, 1, 2], [0, 0, 0], { flapHoldMs: 0 }],
    ['and tuned', [0, 1, 2, 3], [0, 1, 2, 3], { flapHoldMs: 1_000, flapHoldMaxMs: 3_000 }],
  ])('%s', (...[, minutes, seconds, more]) => {
    expect(holds(minutes, more)).toEqual(seconds);
  });

  it('says why, until its time is up', () => {
    const flaps = { losses: 3, at: 0 };
    const back = heldBack(node('n', { flaps }).status, 0, terms);
    expect(back.message).toBe(
      'lost 3 times lately: it gets no new tasks for 20 s after its return',
    );
    const after = released(node('n', back)).status;
    expect(after).toEqual(node('n', { flaps }).status);
    expect(lossesOf(after, terms.flapDecayMs, terms)).toBe(1.5);
  });
});

describe('nodes that are lost together', () => {
  const alive = (count: number): Node[] => Array.from({ length: count }, (_, i) => node(`n${i}`));

  function turns(all: readonly Node[], lost: number, more: object = {}): number[] {
    const now = MINUTE_MS;
    const down = all.filter(({ status }) => status.state === 'ready').slice(0, lost);
    const times = replacementTimes(all, down, { now, terms: { ...terms, ...more } });
    return down.map(({ id }) => ((times.get(id)?.replaceFrom ?? now) - now) / 1_000);
  }

  it.each<[string, readonly Node[], number, number[], object?]>([
    ['up to half of them: at once', alive(6), 3, [0, 0, 0]],
    ['those beyond: one after the other', alive(6), 5, [0, 0, 0, 10, 20]],
    ['one node is always given up at once', alive(1), 1, [0]],
    ['two of three', alive(3), 2, [0, 10]],
    ['another share', alive(10), 3, [0, 0, 10], { massFailureShare: 0.2 }],
    ['turned off', alive(6), 6, [0, 0, 0, 0, 0, 0], { massFailureIntervalMs: 0 }],
    [
      'those just before count, and their turns come first',
      [
        ...alive(3),
        node('a', { state: 'down', since: 50_000 }),
        node('b', { state: 'down', since: 50_000, replaceFrom: 70_000 }),
      ],
      2,
      [20, 30],
    ],
    [
      'those long before do not',
      [...alive(4), node('a', { state: 'down', since: 0 }), node('b', { state: 'down', since: 0 })],
      2,
      [0, 0],
    ],
  ])('%s', (...[, all, lost, seconds, more]) => {
    expect(turns(all, lost, more)).toEqual(seconds);
  });

  it('says why', () => {
    const all = alive(3);
    const times = replacementTimes(all, all, { now: 0, terms });
    expect(times.get(asId('node', 'n2'))?.message).toBe(
      '3 of 3 nodes were lost at about the same time: its tasks are replaced 20000 ms later',
    );
  });
});
