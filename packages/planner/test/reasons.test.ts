import type { Reason } from '@swarmd/model';
import { describe, expect, it } from 'vitest';

import { reason, remember, type ReasonCode } from '../src/reasons.ts';

const why = (code: ReasonCode, message: string, at: number): Reason =>
  reason(code, message, { at });

function told(...reasons: readonly Reason[]): readonly Reason[] {
  return reasons.reduce<readonly Reason[]>((known, one) => remember(known, one), []);
}

describe('the reasons kept with an object', () => {
  it('of what it waits for, each kind is kept once: newest words, how often, since when', () => {
    const made = why('scale-up', '1 replica is wanted', 1);
    const flaps = Array.from({ length: 100 }, (_, n) => [
      why('no-suitable-node', `no suitable node (${n} not ready)`, 10 + 2 * n),
      why('no-address', `no free address on net${n}`, 11 + 2 * n),
    ]);
    expect(told(made, ...flaps.flat())).toEqual([
      made,
      { ...why('no-suitable-node', 'no suitable node (99 not ready)', 208), times: 100, since: 10 },
      { ...why('no-address', 'no free address on net99', 209), times: 100, since: 11 },
    ]);
  });

  it('a new wait, after something else came between, is a reason of its own', () => {
    const first = why('no-suitable-node', 'no suitable node (1 not ready)', 1);
    const between = why('update', 'the service has a newer spec', 2);
    const second = why('no-suitable-node', 'no suitable node (2 not ready)', 3);
    expect(told(first, between, second)).toEqual([first, between, second]);
  });

  it('decisions are told one by one, the newest eight of them', () => {
    const steps = Array.from({ length: 12 }, (_, n) => why('autoscaled', `to ${n} replicas`, n));
    expect(told(...steps)).toEqual(steps.slice(-8));
  });

  it('the same is not said twice', () => {
    const one = why('no-address', 'no free address', 1);
    expect(told(one, why('no-address', 'no free address', 5))).toEqual([one]);
  });
});
