import { until } from '@swarmd/base/testing';
import { errorCode } from '@swarmd/base';
import { afterEach, expect, test } from 'vitest';

import { deadline, TestCluster, type TestMember, TEST_MS } from './cluster.ts';

let cluster: TestCluster | undefined;

afterEach(async () => {
  await cluster?.[Symbol.asyncDispose]();
  cluster = undefined;
});

const bytes = (text: string): Uint8Array => Buffer.from(text);

/** Proposes until it is acknowledged, through whoever leads. Returns how often it was sent. */
async function insist(text: string): Promise<number> {
  for (let attempt = 1; ; attempt += 1) {
    const leader = await cluster!.untilLeader();
    try {
      await leader.raft.propose(bytes(text), deadline(3_000));
      return attempt;
    } catch (error) {
      if (attempt === 20) throw error;
    }
  }
}

test(
  'three members: replicate, read everywhere, restart a follower',
  { timeout: TEST_MS },
  async () => {
    cluster = await TestCluster.of(3);
    const leader = await cluster.untilLeader();
    await Promise.all(
      Array.from({ length: 200 }, (_, i) => leader.raft.propose(bytes(`item ${i}`), deadline())),
    );
    for (const member of cluster.running()) {
      await member.raft.readBarrier(deadline());
      expect(member.machine.items).toHaveLength(200);
    }
    const follower = cluster.running().find((member) => member !== leader) as TestMember;
    await cluster.stop(follower.name);
    await leader.raft.propose(bytes('while away'), deadline());
    await cluster.restart(follower.name);
    await cluster.untilEqual();
    expect(cluster.member(follower.name).machine.items).toHaveLength(201);
    expect(
      cluster
        .leader()
        .raft.status()
        .members.map((m) => m.role),
    ).toEqual(Array.from({ length: 3 }, () => 'voter'));
  },
);

test('a follower refuses to propose and says who leads', { timeout: TEST_MS }, async () => {
  cluster = await TestCluster.of(2);
  const leader = await cluster.untilLeader();
  const follower = cluster.running().find((member) => member !== leader) as TestMember;
  await until('the leader is known', () => follower.raft.status().leader === leader.raftId);
  await expect(follower.raft.propose(bytes('x'), deadline())).rejects.toSatisfy(
    (error) =>
      errorCode(error) === 'unavailable' && String(error).includes(`member ${leader.raftId} is`),
  );
});

test(
  '1: the leader stops, nothing acknowledged is lost and the others go on',
  { timeout: TEST_MS },
  async () => {
    cluster = await TestCluster.of(3);
    const acknowledged: string[] = [];
    for (let i = 0; i < 50; i += 1) {
      await insist(`item ${i}`);
      acknowledged.push(`item ${i}`);
      if (i === 25) await cluster.stop((await cluster.untilLeader()).name);
    }
    await cluster.untilEqual();
    for (const member of cluster.running()) {
      expect([...new Set(member.machine.items)]).toEqual(acknowledged);
    }
  },
);
