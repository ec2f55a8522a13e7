/** The leader's knowledge of who is alive, on a clock of the test. */
import { Scope, silentLogger } from '@swarmd/base';
import { ManualClock } from '@swarmd/base/testing';
import { asId, clusterSpec, type Node } from '@swarmd/model';
import { createMemoryStore } from '@swarmd/store/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { NodeLiveness } from '../src/leadership/node-liveness.ts';
import { UNJOINED_MAX_MS } from '../src/limits.ts';
import { until } from '@swarmd/base/testing';
import { FakeRaft, NO_MACHINE } from './support/fake-raft.ts';
import { aNode } from './support/objects.ts';

const { signal } = new AbortController();
const MANAGER = asId('node', 'm');
const meta = { version: 0, createdAt: 0, updatedAt: 0 };
const member = { raftId: 1, nodeId: 'm', address: '127.0.0.1:1', role: 'voter' } as const;

const description = {
  hostname: 'h',
  platform: { os: 'linux', architecture: 'amd64' },
  resources: { nanoCpus: 1, memoryBytes: 1, generic: [] },
  engineVersion: '1',
  labels: {},
  networks: [],
  addresses6: [],
};

let clock: ManualClock;
let store: ReturnType<typeof createMemoryStore>;
let scope: Scope;
let liveness: NodeLiveness;

const node = (id: string): Node | undefined => store.view.get('node', asId('node', id));

beforeEach(async () => {
  clock = new ManualClock(1_000);
  store = createMemoryStore({ clock });
  scope = new Scope((_name, error) => {
    throw error;
  });
  const { description: _none, ...fresh } = aNode('fresh', { meta });
  const status = { state: 'unknown', message: '', address: '', agentAddress: '', since: 1_000 };
  await store.update((tx) => {
    tx.put('cluster', {
      id: asId('cluster', 'c'),
      meta,
      spec: clusterSpec.parse({}),
      rootCa: { certificatePem: '', keyPem: '', joinTokens: { worker: '', manager: '' } },
      removedManagers: [],
    });
    tx.put('node', { ...fresh, status } as Node);
    tx.put('node', aNode('old', { meta }));
  }, signal);
  const raft = leading();
  liveness = scope.own(
    new NodeLiveness({ store, raft, clock, logger: silentLogger, scope, leaderlessMs: 0 }),
  );
});

function leading(): FakeRaft {
  const raft = new FakeRaft(NO_MACHINE, [member]);
  raft.lead(1);
  return raft;
}

/** The manager is well, and hears nobody. */
async function silence(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 250) {
    clock.advance(250);
    await liveness.report([], MANAGER, signal);
  }
}
afterEach(() => scope[Symbol.asyncDispose]());

describe('nodes as the leader knows them', () => {
  it('one that never came after its certificate is removed, others are not', async () => {
    clock.advance(UNJOINED_MAX_MS);
    expect(node('fresh')).toBeDefined();
    clock.advance(1_000);
    await until('it is gone', () => node('fresh') === undefined);
    expect(node('old')).toBeDefined();
  });

  it('a manager is not forgotten for its agent, which never came: it would be taken out of Raft', async () => {
    const fresh = node('fresh')!;
    const manager = { raftId: 1, apiAddress: '10.0.0.1:1', raftAddress: '10.0.0.1:2' };
    await store.update((tx) => {
      tx.put('node', { ...fresh, id: asId('node', 'voter'), meta, role: 'manager', manager });
    }, signal);
    clock.advance(UNJOINED_MAX_MS + 1_000);
    await until('the one that is no manager is gone', () => node('fresh') === undefined);
    expect(node('voter')).toBeDefined();
  });

  it('one that says goodbye has the grace of the cluster, and none once it is back', async () => {
    const id = asId('node', 'old');
    const { address, agentAddress } = node('old')!.status;
    const back = { nodeId: id, address, agentAddress };
    await liveness.goodbye([id], signal);
    expect(node('old')?.status).toMatchObject({ state: 'ready', awayUntil: 31_000 });
    // What was under way when it said goodbye does not count as a return.
    await liveness.report([back], asId('node', 'm'), signal);
    expect(node('old')?.status.awayUntil).toBe(31_000);
    clock.advance(29_000);
    expect(node('old')?.status.state).toBe('ready');
    await liveness.report([{ ...back, description }], asId('node', 'm'), signal);
    expect(node('old')?.status).not.toHaveProperty('awayUntil');
    await silence(3_000);
    await until('a crash is noticed as soon as ever', () => node('old')?.status.state === 'down');
  });

  it('one whose manager stands still has time to be heard of again', async () => {
    const { address, agentAddress } = node('old')!.status;
    const back = { nodeId: asId('node', 'old'), address, agentAddress };
    await liveness.report([{ ...back, description }], MANAGER, signal);
    // Small steps: else it is this leader that stood still.
    for (let ms = 0; ms < 8_000; ms += 250) {
      clock.advance(250);
      // What is decided is written by then.
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(node('old')?.status.state).toBe('ready');
    await silence(6_000);
    await until('its manager is well, and does not hear it', () => {
      return node('old')?.status.state === 'down';
    });
    // It was there all the time, and is not described again for it.
    await liveness.report([back], MANAGER, signal);
    await until('it is back', () => node('old')?.status.state === 'ready');
  });

  it('that nodes are alive waits for no commit, and counts meanwhile', async () => {
    const { address, agentAddress } = node('old')!.status;
    const back = { nodeId: asId('node', 'old'), address, agentAddress };
    let commits = (): void => undefined;
    const committing = new Promise<void>((resolve) => (commits = resolve));
    using slow = new NodeLiveness({
      store: { ...store, view: store.view, update: () => committing as Promise<never> },
      raft: leading(),
      clock,
      logger: silentLogger,
      scope,
      leaderlessMs: 0,
    });
    let isWritten = false;
    const described = slow
      .report([{ ...back, nodeId: asId('node', 'fresh'), description }], MANAGER, signal)
      .then(() => (isWritten = true));
    await slow.report([back, { ...back, nodeId: asId('node', 'fresh') }], MANAGER, signal);
    expect(isWritten).toBe(false);
    commits();
    await described;
  });
});
