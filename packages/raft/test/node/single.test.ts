import { until } from '@swarmd/base/testing';
import { errorCode } from '@swarmd/base';
import { afterEach, expect, test } from 'vitest';

import { deadline, TestCluster, TEST_MS } from './cluster.ts';

let cluster: TestCluster | undefined;

afterEach(async () => {
  await cluster?.[Symbol.asyncDispose]();
  cluster = undefined;
});

const bytes = (text: string): Uint8Array => Buffer.from(text);

test(
  '11/25: a single member founds a cluster, commits, and finds everything after a restart',
  { timeout: TEST_MS },
  async () => {
    cluster = await TestCluster.of(1);
    const { raft, machine } = await cluster.untilLeader();
    const first = await raft.propose(bytes('one'), deadline());
    const second = await raft.propose(bytes('two'), deadline());
    expect(second).toBe(first + 1);
    await raft.readBarrier(deadline());
    expect(machine.items).toEqual(['one', 'two']);
    expect(raft.status().members).toMatchObject([{ raftId: 1, nodeId: 'm1', role: 'voter' }]);

    await cluster.stop('m1');
    const again = await cluster.restart('m1');
    // Before it leads: replayed from its own disk.
    expect(again.machine.items).toEqual(['one', 'two']);
    await cluster.untilLeader();
    await again.raft.propose(bytes('three'), deadline());
    expect(again.machine.items).toEqual(['one', 'two', 'three']);
  },
);

test(
  'snapshots bound the log; a restart restores the newest and replays the rest',
  { timeout: TEST_MS },
  async () => {
    cluster = await TestCluster.of(1, { snapshotEvery: 20 });
    const { raft } = await cluster.untilLeader();
    for (let i = 0; i < 107; i += 1) await raft.propose(bytes(`item ${i}`), deadline());
    await cluster.stop('m1');
    const again = await cluster.restart('m1');
    expect(again.machine.items).toEqual(Array.from({ length: 107 }, (_, i) => `item ${i}`));
    expect(again.machine.restoredAt).toBeGreaterThanOrEqual(80);
    expect(again.raft.status().first).toBeGreaterThan(50);
  },
);

test(
  'few but large entries make a snapshot due as well: what is in memory is bounded',
  { timeout: TEST_MS },
  async () => {
    cluster = await TestCluster.of(1);
    const { raft } = await cluster.untilLeader();
    const large = new Uint8Array(4 * 1024 * 1024);
    for (let i = 0; i < 16; i += 1) await raft.propose(large, deadline());
    await until('the log is cut', () => raft.status().first > 1);
    const { logBytes, snapshot } = await raft.report(deadline());
    expect(snapshot).toBeGreaterThan(10);
    expect(logBytes).toBeLessThan(40 * 1024 * 1024);
  },
);

test('proposals that cannot be are refused', { timeout: TEST_MS }, async () => {
  cluster = await TestCluster.of(1);
  const { raft } = await cluster.untilLeader();
  await expect(raft.propose(new Uint8Array(), deadline())).rejects.toSatisfy(
    (error) => errorCode(error) === 'invalid-argument',
  );
  const aborted = AbortSignal.abort();
  await expect(raft.propose(bytes('late'), aborted)).rejects.toThrow(/aborted/u);
});
