import { until } from '@swarmd/base/testing';
import { afterEach, describe, expect, test } from 'vitest';

import type { ProgressStatus, Status } from '../../src/core/types.ts';
import { peerReports, type PeerContact } from '../../src/node/report.ts';
import { NO_LINK } from '../../src/node/network.ts';
import { deadline, TestCluster, TEST_MS } from './cluster.ts';

let cluster: TestCluster | undefined;

afterEach(async () => {
  await cluster?.[Symbol.asyncDispose]();
  cluster = undefined;
});

test('a report tells how every peer does', { timeout: TEST_MS }, async () => {
  cluster = await TestCluster.of(3);
  const leader = await cluster.untilLeader();
  const { raft } = leader;
  const [follower = '', last = ''] = ['m1', 'm2', 'm3'].filter((name) => name !== leader.name);
  await raft.propose(Buffer.from('something'), deadline());
  await cluster.untilEqual();
  const report = await raft.report(deadline());
  expect(report).toMatchObject({ role: 'leader', leaderContactMs: 0, first: 1, snapshot: 0 });
  expect(report.logEntries).toBe(report.last);
  expect(report.logBytes).toBeGreaterThan(9);
  expect(report.writes.count).toBeGreaterThan(0);
  expect(report.tickLateness.count).toBeGreaterThan(0);
  const well = { connection: 'open', limit: '', replication: { state: 'replicate', behind: 0 } };
  expect(report.peers).toMatchObject([follower, last].map((nodeId) => ({ nodeId, ...well })));

  const told = await cluster.member(follower).raft.report(deadline());
  expect(told.leaderContactMs).toBeGreaterThanOrEqual(0);
  expect(told.peers).toContainEqual(
    expect.objectContaining({ nodeId: leader.name, replication: undefined }),
  );

  await cluster.stop(last);
  const closed = await until('the leader sees that one is gone', async () => {
    const { peers } = await raft.report(deadline());
    return peers[1]?.connection === 'closed' ? peers : undefined;
  });
  expect(closed[1]?.limit).toMatch(/^not connected for \d+\.\d s: /u);
  expect(closed[0]?.limit).toBe('');
});

describe('what limits a peer', () => {
  const open: PeerContact = { link: { ...NO_LINK, connection: 'open' }, silentMs: 20 };
  const closed: PeerContact = {
    link: {
      ...NO_LINK,
      connection: 'closed',
      connectionAgeMs: 3_400,
      connectionError: 'no answer',
    },
    silentMs: 3_500,
  };
  const replicating: ProgressStatus = {
    id: 2,
    state: 'replicate',
    match: 90,
    next: 95,
    learner: false,
    recentActive: true,
    paused: false,
    pendingSnapshot: 0,
    inflightMessages: 4,
    inflightBytes: 4_000,
    inflightFull: undefined,
    probing: undefined,
  };
  const silent = { ...replicating, recentActive: false };
  const probe = { ...replicating, state: 'probe' as const };

  const cases: [Partial<ProgressStatus>, PeerContact, string][] = [
    [replicating, open, ''],
    [replicating, closed, 'not connected for 3.4 s: no answer'],
    [silent, { ...open, silentMs: 2_000 }, 'silent for 2.0 s'],
    [silent, { ...open, silentMs: undefined }, 'never heard from'],
    [
      { ...replicating, state: 'snapshot', pendingSnapshot: 80 },
      open,
      'waiting for snapshot 80 to arrive there',
    ],
    [
      { ...replicating, inflightFull: 'bytes' },
      open,
      'window of bytes full: 4000 bytes without an answer',
    ],
    [
      { ...replicating, inflightFull: 'messages' },
      open,
      'window of messages full: 4 without an answer',
    ],
    [
      { ...probe, probing: 'rejected' },
      open,
      'probing after rejection: looking for the entry where the logs meet',
    ],
    [{ ...probe, probing: 'unreachable' }, open, 'probing: messages to it were lost'],
    [
      { ...probe, probing: 'started', next: 10 },
      open,
      'needs a snapshot: entries before 40 are gone from the log',
    ],
  ];

  test.each(cases)('case %#', (progress, contact, expected) => {
    const status = { id: 1, first: 40, last: 100, progress: [progress] } as unknown as Status;
    const members = [1, 2].map((raftId) => ({
      raftId,
      nodeId: `m${raftId}`,
      address: '',
      role: 'voter' as const,
    }));
    const [report] = peerReports(status, members, () => contact);
    expect(report).toMatchObject({ raftId: 2, limit: expected, replication: { behind: 10 } });
  });
});
