import { until } from '@swarmd/base/testing';
import { errorCode, errorMessage } from '@swarmd/base';
import { afterEach, expect, test } from 'vitest';

import type { MembershipChange, Raft } from '../../src/node/types.ts';
import { TestCa } from './certificates.ts';
import { CLUSTER_ID, deadline, sayHello, TestCluster, TEST_MS } from './cluster.ts';

let cluster: TestCluster | undefined;

afterEach(async () => {
  await cluster?.[Symbol.asyncDispose]();
  cluster = undefined;
});

const bytes = (text: string): Uint8Array => Buffer.from(text);

async function proposeMany(count: number, prefix: string): Promise<void> {
  const { raft } = await cluster!.untilLeader();
  const texts = Array.from({ length: count }, (_, i) => `${prefix} ${i} ${'x'.repeat(2_000)}`);
  await Promise.all(texts.map((text) => raft.propose(bytes(text), deadline())));
}

async function refused(
  change: MembershipChange,
  raft: Raft = cluster!.leader().raft,
): Promise<string> {
  try {
    await raft.changeMembership(change, deadline());
    return 'done';
  } catch (error) {
    return `${errorCode(error)}: ${errorMessage(error)}`;
  }
}

test(
  '29/36/41: a learner far behind gets a snapshot, moves, is promoted, is removed for ever',
  { timeout: TEST_MS },
  async () => {
    cluster = await TestCluster.of(1, { snapshotEvery: 30 });
    await proposeMany(300, 'early');
    await until('the log is compacted', () => cluster!.leader().raft.status().first > 1);
    const learner = await cluster.joinAsLearner('m2');
    await cluster.untilEqual();
    expect(learner.machine.restoredAt).toBeGreaterThan(200);
    expect(learner.raft.status()).toMatchObject({
      role: 'learner',
      members: [
        { nodeId: 'm1', role: 'voter' },
        { nodeId: 'm2', role: 'learner' },
      ],
    });

    const moved = { kind: 'set-address', raftId: learner.raftId, address: '127.0.0.1:1' } as const;
    expect(await refused(moved)).toBe('done');
    expect(cluster.leader().raft.status().members[1]).toMatchObject({ address: '127.0.0.1:1' });
    const back = { ...moved, address: learner.options.advertise };
    expect(await refused(back)).toBe('done');
    await proposeMany(1, 'after the move');
    await cluster.untilEqual();

    expect(await refused({ kind: 'promote', raftId: learner.raftId })).toBe('done');
    await until('the learner votes', () => learner.raft.status().role === 'follower');
    expect(await refused({ kind: 'promote', raftId: 99 })).toMatch(/^not-found/u);
    const again = { ...learner.raft.status().members[1]!, raftId: 77 };
    expect(await refused({ kind: 'add-learner', member: again })).toMatch(/^already-exists/u);

    expect(await refused({ kind: 'remove', raftId: learner.raftId })).toBe('done');
    await expect(learner.raft.failed).rejects.toSatisfy((error) => /removed/u.test(String(error)));
    await cluster.stop('m2');
    expect(cluster.leader().raft.status().members).toHaveLength(1);
    const { raftId, advertise: address } = learner.options;
    const member = { raftId, address, nodeId: 'm2', role: 'learner' } as const;
    expect(await refused({ kind: 'add-learner', member })).toMatch(/needs a new id/u);
    const returned = await cluster.restart('m2');
    await expect(returned.raft.failed).rejects.toSatisfy((error) => /removed/u.test(String(error)));
  },
);

test(
  '41/46: a follower that was away is caught up by snapshot while it runs',
  { timeout: TEST_MS },
  async () => {
    cluster = await TestCluster.of(2, {
      snapshotEvery: 20,
      encryptionKey: new Uint8Array(32).fill(3),
    });
    const learner = await cluster.joinAsLearner('m3');
    await proposeMany(30, 'together');
    await cluster.untilEqual();
    await cluster.stop(learner.name);
    await proposeMany(200, 'alone');
    const back = await cluster.restart(learner.name);
    const startedAt = back.machine.restoredAt;
    await proposeMany(30, 'again');
    await cluster.untilEqual();
    expect(back.machine.restoredAt).toBeGreaterThan(startedAt);
    // Its own log is whole again.
    await cluster.stop(learner.name);
    await cluster.restart(learner.name);
    await cluster.untilEqual();
  },
);

test(
  '37/55: what would cost the quorum is refused; leadership moves on request',
  { timeout: TEST_MS },
  async () => {
    cluster = await TestCluster.of(2);
    const first = await cluster.untilLeader();
    const second = cluster.running().find((member) => member !== first)!;
    await first.raft.transferLeadership(second.raftId, deadline());
    expect(first.raft.status().leader).toBe(second.raftId);
    await until('the other leads', () => second.raft.status().role === 'leader');
    await expect(second.raft.transferLeadership(second.raftId, deadline())).rejects.toThrow(
      /cannot take over/u,
    );
    await cluster.stop(first.name);
    await until('the leader has noticed', () =>
      second.raft.status().progress.every((p) => p.raftId !== first.raftId || !p.recentlyActive),
    );
    // It may have stepped down meanwhile, for want of a quorum.
    const removal = await refused({ kind: 'remove', raftId: second.raftId }, second.raft);
    expect(removal).toMatch(/^(failed-precondition: without Raft member|unavailable)/u);
  },
);

test('only managers of this cluster may speak', { timeout: TEST_MS }, async () => {
  cluster = await TestCluster.of(1);
  const target = cluster.leader();
  type Subject = { cluster: string; node: string; unit?: string };
  const refusal = async (subject: Subject, ca = cluster!.ca) =>
    await sayHello(target, ca.issue(subject), { from: 9, nodeId: 'm9' });
  expect(await refusal({ cluster: CLUSTER_ID, node: 'm9' })).toBe('accepted');
  expect(await refusal({ cluster: CLUSTER_ID, node: 'm8' })).toMatch(/node m9, not m8/u);
  expect(await refusal({ cluster: 'other', node: 'm9' })).toMatch(/another cluster/u);
  const worker = { cluster: CLUSTER_ID, node: 'm9', unit: 'swarm-worker' };
  expect(await refusal(worker)).toMatch(/not for the role swarm-manager/u);

  // One that was removed, whatever it calls itself.
  target.raft.refuseNodes(['m9']);
  await target.raft.readBarrier(deadline());
  const removed = { cluster: CLUSTER_ID, node: 'm9' };
  expect(await refusal(removed)).toMatch(/was removed from the cluster/u);
  const renamed = { from: 4_711, nodeId: 'm9' };
  expect(await sayHello(target, cluster.ca.issue(removed), renamed)).toMatch(/was removed/u);
  const other9 = { cluster: CLUSTER_ID, node: 'm8' };
  expect(await sayHello(target, cluster.ca.issue(other9), { from: 8, nodeId: 'm8' })).toBe(
    'accepted',
  );
  target.raft.refuseNodes([]);
  await target.raft.readBarrier(deadline());

  // New roots, without a restart.
  using other = new TestCa();
  expect(await refusal({ cluster: CLUSTER_ID, node: 'm9' }, other)).toMatch(/certificate/u);
  target.raft.setTls(other.issue({ cluster: CLUSTER_ID, node: 'm1' }));
  await target.raft.readBarrier(deadline());
  expect(await refusal({ cluster: CLUSTER_ID, node: 'm9' }, other)).toBe('accepted');
  expect(await refusal({ cluster: CLUSTER_ID, node: 'm9' })).toMatch(/certificate/u);
});
