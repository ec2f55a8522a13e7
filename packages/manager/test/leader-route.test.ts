import type { Call } from '@swarmd/api';
import { silentLogger, SwarmError } from '@swarmd/base';
import { systemClock } from '@swarmd/base/system';
import { ManualClock } from '@swarmd/base/testing';
import { asId } from '@swarmd/model';
import type { RaftMember } from '@swarmd/raft';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import type { Duties } from '../src/leadership/duties.ts';
import { LeaderRoute, type Paths } from '../src/leadership/leader-route.ts';
import { Leadership } from '../src/leadership/leadership.ts';
import { OWN_REPORT_MS } from '../src/limits.ts';
import type { ManagerClients } from '../src/net/peers.ts';
import { until } from '@swarmd/base/testing';
import { FakeRaft, NO_MACHINE } from './support/fake-raft.ts';

const MEMBERS: RaftMember[] = [
  { raftId: 1, nodeId: 'me', address: 'me:1', role: 'voter' },
  { raftId: 2, nodeId: 'other', address: 'other:1', role: 'voter' },
];
const aCall = (fields: Partial<Call> = {}): Call => ({
  signal: AbortSignal.timeout(10_000),
  ...fields,
});
/** Says where it ended. */
const paths: Paths<string> = {
  here: () => Promise.resolve('here'),
  there: () => Promise.resolve('there'),
};

describe('the way to the leader', () => {
  let raft: FakeRaft;
  let leadership: Leadership<Duties>;
  let route: LeaderRoute;

  beforeEach(() => {
    raft = new FakeRaft(NO_MACHINE, MEMBERS);
    leadership = new Leadership<Duties>({
      raft,
      clock: systemClock,
      logger: silentLogger,
      open: () => Promise.resolve({} as Duties),
    });
    route = new LeaderRoute({
      raft,
      leadership,
      clock: systemClock,
      clientsOf: (nodeId) => (nodeId === 'other' ? ({} as ManagerClients) : undefined),
    });
  });
  afterEach(async () => {
    route[Symbol.dispose]();
    await leadership[Symbol.asyncDispose]();
  });

  it('ends here when this member leads, there when another one does', async () => {
    raft.lead(2);
    expect(await route.run(aCall(), paths)).toBe('here');
    raft.follow(2, 3);
    expect(await route.run(aCall(), paths)).toBe('there');
  });

  it('waits for an election', async () => {
    const waiting = route.run(aCall(), paths);
    raft.follow(2, 3);
    expect(await waiting).toBe('there');
  });

  it('says so when nobody leads in time', async () => {
    const clock = new ManualClock();
    using patient = new LeaderRoute({ raft, leadership, clock, clientsOf: () => undefined });
    const waiting = patient.run(aCall(), paths);
    const passing = setInterval(() => clock.advance(100), 0);
    await expect(waiting.finally(() => clearInterval(passing))).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('no leader'),
    });
  });

  it('never passes on what was passed on', async () => {
    raft.follow(0, 3);
    const peer = {
      nodeId: asId('node', 'third'),
      role: 'manager',
      clusterId: asId('cluster', 'c'),
    } as const;
    const waiting = route.run(aCall({ forwardedBy: peer }), paths);
    raft.lead(4);
    expect(await waiting).toBe('here');
    // Who passed it on finds the way itself: the answer comes at once.
    raft.follow(2, 5);
    await expect(route.run(aCall({ forwardedBy: peer }), paths)).rejects.toMatchObject({
      code: 'unavailable',
    });
  });

  it('tells the leader in whose name it calls', async () => {
    raft.follow(2, 3);
    const calls: Call[] = [];
    const there = (_manager: ManagerClients, call: Call): Promise<string> => {
      calls.push(call);
      return Promise.resolve('');
    };
    const peer = {
      nodeId: asId('node', 'w'),
      role: 'worker',
      clusterId: asId('cluster', 'c'),
    } as const;
    await route.run(aCall({ local: true }), { ...paths, there });
    await route.run(aCall({ peer }), { ...paths, there });
    expect(calls.map((call) => call.onBehalfOf)).toEqual([{ local: true }, { local: false, peer }]);
  });

  it('repeats what had no effect, and nothing else', async () => {
    raft.follow(2, 3);
    const attempts: string[] = [];
    const failing = (code: 'unavailable' | 'unknown-outcome') => () => {
      attempts.push(code);
      return attempts.length === 2
        ? Promise.resolve('second')
        : Promise.reject(new SwarmError(code, 'lost'));
    };
    expect(await route.run(aCall(), { ...paths, there: failing('unavailable') })).toBe('second');
    attempts.length = 0;
    await expect(
      route.run(aCall(), { ...paths, there: failing('unknown-outcome') }),
    ).rejects.toMatchObject({ code: 'unknown-outcome' });
    expect(attempts).toHaveLength(1);
  });

  it('a reign that ends while work waits in line leaves it undone and tries the next leader', async () => {
    raft.lead(2);
    await until('reign', () => leadership.reign);
    const waiting = route.run(aCall(), {
      ...paths,
      here: (_duties, signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason as Error));
        }),
    });
    raft.follow(2, 3);
    expect(await waiting).toBe('there');
  });

  it('a report waits for a slow leader, and goes to the next one when another leads', async () => {
    raft.follow(2, 3);
    await until('it follows', () => leadership.reign === undefined);
    const asked: Call[] = [];
    const reported = route.report(new AbortController().signal, {
      here: () => Promise.resolve(),
      there: (_manager, call) => {
        asked.push(call);
        return new Promise((resolve, reject) => {
          if (asked.length === 2) resolve();
          call.signal.addEventListener('abort', () => reject(call.signal.reason as Error));
        });
      },
    });
    await until('the leader is asked', () => asked.length === 1);
    // Longer than a leader with too much to do needs for all that it has to do.
    expect(asked[0]?.timeoutMs).toBe(OWN_REPORT_MS);
    raft.follow(0, 4);
    raft.follow(2, 4);
    await reported;
    expect(asked).toHaveLength(2);
  });
});
