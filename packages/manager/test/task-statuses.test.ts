/** What a leader makes of statuses, when its replica is behind the one that the agent was told from. */
import { silentLogger } from '@swarmd/base';
import { systemClock } from '@swarmd/base/system';
import { ManualClock, SeededRandom, until } from '@swarmd/base/testing';
import { asId, serviceSpec, type TaskStatus } from '@swarmd/model';
import { createMemoryStore } from '@swarmd/store/testing';
import { describe, expect, it } from 'vitest';

import { takeStatuses } from '../src/leadership/task-statuses.ts';
import { SERVICE_LOOP_DEBOUNCE_MS } from '../src/limits.ts';
import { ServiceLoop } from '../src/loops/service-loop.ts';
import { SharedBarrier } from '../src/replication/shared-barrier.ts';
import { aNode, aService, aTask } from './support/objects.ts';

const NEW = { version: 0, createdAt: 0, updatedAt: 0 };
const nodeId = asId('node', 'here');
const starting: TaskStatus = { state: 'starting', timestamp: 0, message: '', error: '' };
const running: TaskStatus = { ...starting, state: 'running' };
const { signal } = new AbortController();

function leader(catchUp: (store: ReturnType<typeof createMemoryStore>) => Promise<unknown>) {
  const store = createMemoryStore();
  const barriers: number[] = [];
  const raft = {
    readBarrier: async () => {
      barriers.push(store.view.version);
      await catchUp(store);
    },
  };
  const barrier = new SharedBarrier({ raft, clock: systemClock, timeoutMs: 5_000 });
  const take = (id: string): Promise<void> =>
    takeStatuses(
      { store, barrier, clock: systemClock, services: { planWith: () => undefined } },
      [{ nodeId, updates: [{ taskId: asId('task', id), status: running }] }],
      signal,
    );
  return { store, barrier, take, barriers };
}

describe('statuses that a leader takes', () => {
  it('of a task that it has not applied yet is written once it has', async () => {
    const task = aTask('t', { meta: NEW, nodeId, status: starting });
    const { store, take } = leader((to) => to.update((tx) => tx.put('task', task), signal));
    await take('t');
    expect(store.view.get('task', asId('task', 't'))?.status.state).toBe('running');
  });

  it('of a task that is forgotten everywhere is dropped, once that is certain', async () => {
    const { store, take, barriers } = leader(() => Promise.resolve());
    await take('t');
    expect([barriers.length, store.view.count('task')]).toEqual([1, 0]);
  });

  it('of a task that it knows asks nobody', async () => {
    const { store, take, barriers } = leader(() => Promise.resolve());
    const task = aTask('t', { meta: NEW, nodeId, status: starting });
    await store.update((tx) => tx.put('task', task), signal);
    await take('t');
    expect(barriers).toEqual([]);
    expect(store.view.get('task', asId('task', 't'))?.status.state).toBe('running');
  });

  it('is not settled as long as nobody confirms that this manager is up to date', async () => {
    const { take } = leader(() => Promise.reject(new Error('no quorum')));
    await expect(take('t')).rejects.toThrow('no quorum');
  });

  it('of a task that failed is one commit with what replaces it', async () => {
    const { store, barrier } = leader(() => Promise.resolve());
    const clock = new ManualClock();
    const random = new SeededRandom(1);
    const ids = { next: (): string => `id${random.next()}` };
    await using services = new ServiceLoop({
      store,
      clock,
      random,
      ids,
      logger: silentLogger,
    });
    const task = { container: { image: 'x' }, restart: { delayMs: 0 } };
    const service = aService('web', { meta: NEW, spec: serviceSpec.parse({ name: 'web', task }) });
    await store.update((tx) => {
      tx.put('node', aNode('here', { meta: NEW }));
      tx.put('service', service);
    }, signal);
    const first = await until('it has a task', () =>
      [...store.view.tasksByService(service.id)].find((one) => one.nodeId === nodeId),
    );
    // Plans follow each other only after a pause: those that the first one asked for are to be over.
    for (let round = 0; round < 5; round += 1) {
      clock.advance(2 * SERVICE_LOOP_DEBOUNCE_MS);
      await new Promise((resolve) => setImmediate(resolve));
    }
    const states = Promise.withResolvers<(string | undefined)[]>();
    using _commits = store.subscribe(({ changes }) =>
      states.resolve(changes.map(({ after }) => (after as typeof first | undefined)?.status.state)),
    );
    const status: TaskStatus = { ...starting, state: 'failed' };
    const reports = [{ nodeId, updates: [{ taskId: first.id, status }] }];
    await takeStatuses({ store, barrier, clock: systemClock, services }, reports, signal);
    expect(await states.promise).toEqual(['failed', 'assigned']);
  });
});
