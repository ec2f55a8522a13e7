import type { AgentMessage, ManagerMessage } from '@swarmd/api';
import { silentLogger, type Clock } from '@swarmd/base';
import { ManualClock } from '@swarmd/base/testing';
import { systemClock, systemIds, systemRandom } from '@swarmd/base/system';
import { asId, clusterSpec } from '@swarmd/model';
import type { Store } from '@swarmd/store';
import { createMemoryStore } from '@swarmd/store/testing';
import { expect, it } from 'vitest';

import { SessionDispatcher } from '../src/dispatcher/dispatcher.ts';
import type { Duties } from '../src/leadership/duties.ts';
import { LeaderRoute } from '../src/leadership/leader-route.ts';
import { Leadership } from '../src/leadership/leadership.ts';
import { FakeRaft, NO_MACHINE } from './support/fake-raft.ts';
import { aNode } from './support/objects.ts';

const NODE = asId('node', 'n1');
const META = { version: 0, createdAt: 0, updatedAt: 0 };
const signal = AbortSignal.timeout(300_000);

/** An agent that says hello, and later what it is asked to. */
async function* agent(later: Promise<AgentMessage>): AsyncGenerator<AgentMessage> {
  const resources = { nanoCpus: 4e9, memoryBytes: 8 * 1024 ** 3, generic: [] };
  const platform = { os: 'linux', architecture: 'amd64' };
  const description = {
    hostname: 'n1',
    platform,
    resources,
    engineVersion: '1',
    networks: [],
    addresses6: [],
  };
  yield {
    kind: 'hello',
    description: { ...description, labels: {} },
    address: '10.0.0.1',
    agentAddress: '10.0.0.1:1',
  };
  yield await later;
  await new Promise(() => undefined);
}

interface World extends AsyncDisposable {
  readonly store: Store;
  readonly dispatcher: SessionDispatcher;
  /** What has turns of its own waits here, while `isHeld`. */
  readonly turns: (() => void)[];
  isHeld: boolean;
}

async function aDispatcher(clock: Clock): Promise<World> {
  const stack = new AsyncDisposableStack();
  const store = createMemoryStore();
  await store.update((tx) => {
    tx.put('cluster', {
      id: asId('cluster', 'c'),
      meta: META,
      spec: clusterSpec.parse({}),
      rootCa: { certificatePem: '', keyPem: '', joinTokens: { worker: '', manager: '' } },
      removedManagers: [],
    });
    tx.put('node', aNode(NODE, { meta: META }));
  }, signal);
  const raft = new FakeRaft(NO_MACHINE, [
    { raftId: 1, nodeId: 'me', address: 'me:1', role: 'voter' },
  ]);
  raft.lead(1);
  const common = { raft, clock, logger: silentLogger };
  const leadership = stack.use(
    new Leadership<Duties>({ ...common, open: () => Promise.resolve({} as Duties) }),
  );
  const route = stack.use(new LeaderRoute({ ...common, leadership, clientsOf: () => undefined }));
  const turns: (() => void)[] = [];
  const dispatcher = stack.use(
    new SessionDispatcher({
      ...common,
      store,
      route,
      random: systemRandom,
      ids: systemIds,
      nextTurn: (fn) => void (world.isHeld ? turns.push(fn) : setImmediate(fn)),
    }),
  );
  const world: World = {
    store,
    dispatcher,
    turns,
    isHeld: false,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
  return world;
}

it('a node that is still to be told of a commit has not confirmed it', async () => {
  await using world = await aDispatcher(systemClock);
  const { store, dispatcher, turns } = world;
  const { promise, resolve } = Promise.withResolvers<AgentMessage>();
  const peer = { nodeId: NODE, role: 'worker', clusterId: asId('cluster', 'c') } as const;
  const session = dispatcher.session(agent(promise), { peer, signal })[Symbol.asyncIterator]();
  const told = async (kind: ManagerMessage['kind']): Promise<ManagerMessage> => {
    for (;;) {
      const { value, done } = await session.next();
      if (done === true) throw new Error('the session ended');
      if (value.kind === kind) return value;
    }
  };
  await told('assignments');
  const confirmed = new Promise<void>((done) => void dispatcher.onApplied(() => done()));
  resolve({ kind: 'applied', version: store.view.version });
  // Until the manager stops.
  session.next().catch(() => undefined);
  await confirmed;
  const applied = () => [...dispatcher.applied()];
  expect(applied()).toEqual([{ nodeId: NODE, version: store.view.version }]);

  world.isHeld = true;
  const before = store.view.version;
  await store.update((tx) => {
    const node = tx.get('node', NODE)!;
    tx.put('node', { ...node, spec: { ...node.spec, labels: { moved: 'yes' } } });
  }, signal);
  expect(store.view.version).toBeGreaterThan(before);
  expect(applied()).toEqual([{ nodeId: NODE, version: before }]);
  // Its turn comes: nothing differs for it, which is as good as a confirmation.
  for (const turn of turns.splice(0)) turn();
  await new Promise((done) => setImmediate(done));
  expect(applied()).toEqual([{ nodeId: NODE, version: store.view.version }]);
});

it('a session ends with its reader, whether it waits for a message or for none', async () => {
  await using world = await aDispatcher(systemClock);
  const { dispatcher } = world;
  const peer = { nodeId: NODE, role: 'worker', clusterId: asId('cluster', 'c') } as const;
  const open = () => {
    const messages = agent(new Promise(() => undefined));
    return dispatcher.session(messages, { peer, signal })[Symbol.asyncIterator]();
  };
  const first = open();
  const begins = first.next();
  await first.return?.();
  expect(await begins).toEqual({ done: true, value: undefined });
  expect([dispatcher.lost, dispatcher.heardSessions()]).toEqual([[NODE], []]);
  const second = open();
  expect((await second.next()).value).toMatchObject({ kind: 'welcome' });
  expect([dispatcher.lost, dispatcher.heardSessions().length]).toEqual([[], 1]);
  await second.return?.();
  expect(await second.next()).toEqual({ done: true, value: undefined });
  expect([dispatcher.lost, dispatcher.heardSessions()]).toEqual([[NODE], []]);
});

it('ends sessions that are silent for too long, but not for the time it stood still itself', async () => {
  const clock = new ManualClock();
  await using world = await aDispatcher(clock);
  const { dispatcher } = world;
  const peer = { nodeId: NODE, role: 'worker', clusterId: asId('cluster', 'c') } as const;
  const messages = agent(new Promise(() => undefined));
  const session = dispatcher.session(messages, { peer, signal })[Symbol.asyncIterator]();
  await session.next();
  const ended = (async () => {
    for (;;) if ((await session.next()).done === true) return;
  })().catch((error: unknown) => error);
  const [heard] = dispatcher.heardSessions();
  if (heard === undefined) throw new Error('nobody was heard');
  heard.toldAt = heard.heardAt;

  clock.advance(60_000);
  // The leader is told of it as well.
  expect(dispatcher.heardSessions()).toEqual([heard]);
  expect(dispatcher.heardSessions()).toEqual([]);
  expect(await Promise.race([ended, turnsLater()])).toBe('still there');
  for (let looks = 0; looks < 12; looks += 1) {
    clock.advance(500);
    dispatcher.heardSessions();
  }
  expect(await ended).toMatchObject({ code: 'deadline-exceeded' });
});

async function turnsLater(): Promise<string> {
  for (let turn = 0; turn < 3; turn += 1) await new Promise((done) => setImmediate(done));
  return 'still there';
}
