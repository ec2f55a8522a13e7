import { describe, expect, it } from 'vitest';
import { asId, clusterSpec } from '@swarmd/model';

import { awayNode, downNode, Leases, type LeaseTerms } from '../src/leadership/liveness.ts';
import { aNode } from './support/objects.ts';

const id = asId('node', 'n');
const manager = asId('node', 'm');
const node = aNode('n');
const terms = clusterSpec.parse({});
const at = (nowMs: number, lost: readonly string[] = []): LeaseTerms => ({
  nowMs,
  now: nowMs,
  graceMs: 6_000,
  isLost: (reporter) => lost.includes(reporter),
});

describe('leases of nodes', () => {
  it('a ready node without lease gets one: an election disturbs nobody', () => {
    const leases = new Leases();
    expect(leases.expired([node], at(1_000))).toEqual([]);
    expect(leases.expired([node], at(6_999))).toEqual([]);
    expect(leases.expired([node], at(7_000))).toEqual([node]);
  });

  it('a report extends it, an older report does not shorten it', () => {
    const leases = new Leases();
    leases.extend(id, 5_000, manager);
    leases.extend(id, 4_000, manager);
    expect(leases.expired([node], at(4_999))).toEqual([]);
    expect(leases.isLive(id, 4_999)).toBe(true);
    expect(leases.expired([node], at(5_000))).toEqual([node]);
    expect(leases.isLive(id, 5_000)).toBe(false);
  });

  it('time in which the leader stood still does not count', () => {
    const leases = new Leases();
    leases.extend(id, 5_000, manager);
    leases.extendAll(10_000);
    expect(leases.expired([node], at(14_999))).toEqual([]);
    expect(leases.expired([node], at(15_000))).toEqual([node]);
  });

  it('a node that lost its manager has time to find another one, once', () => {
    const leases = new Leases();
    leases.extend(id, 5_000, manager);
    expect(leases.expired([node], at(5_000, ['m']))).toEqual([]);
    expect(leases.expired([node], at(10_999, ['m']))).toEqual([]);
    expect(leases.expired([node], at(11_000, ['m']))).toEqual([node]);
  });

  it('a node that restarts on purpose has until then, also when another manager takes over', () => {
    const away = awayNode(node, { now: 1_000, graceMs: 30_000 });
    expect(away.status).toMatchObject({ state: 'ready', awayUntil: 31_000 });
    const leases = new Leases();
    expect(leases.expired([away], at(1_000))).toEqual([]);
    expect(leases.expired([away], at(30_999))).toEqual([]);
    expect(leases.expired([away], at(31_000))).toEqual([away]);
    const down = downNode(away, { now: 31_000, silentMs: 3_000, terms });
    expect(down.status).not.toHaveProperty('awayUntil');
    expect(down.status.message).toContain('did not come back');
    leases.reset(id, 40_000, manager);
    expect(leases.isLive(id, 40_000)).toBe(false);
  });

  it('only ready nodes go down', () => {
    const leases = new Leases();
    leases.extend(id, 0, manager);
    const down = downNode(node, { now: 42, silentMs: 3_000, terms });
    expect(down.status).toMatchObject({
      state: 'down',
      since: 42,
      message: expect.stringContaining('3000 ms'),
    });
    expect(leases.expired([down], at(9_999))).toEqual([]);
  });
});
