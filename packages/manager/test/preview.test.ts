/** Dry runs over a real manager: nothing is written, and the write then does what was shown. */
import type { Preview, Write } from '@swarmd/api';
import { errorCode } from '@swarmd/base';
import { isTerminal, isWantedState, type NodeId, type Service, type Task } from '@swarmd/model';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { until } from '@swarmd/base/testing';
import type { FakeAgent } from './support/fake-agent.ts';
import { aCall, TestCluster, type Host } from './support/managers.ts';

const SLOTS = 4;

type Spec = Extract<Write, { kind: 'create-service' }>['spec'];

function spec(replicas: number, image = 'registry.test/web:1'): Spec {
  return {
    name: 'web',
    mode: { kind: 'replicated', replicas },
    task: { container: { image }, restart: { delayMs: 0 } },
    update: { parallelism: 2, monitorMs: 0 },
  };
}

const isAlive = ({ status }: Task): boolean => !isTerminal(status.state);

describe('a dry run', () => {
  const cluster = new TestCluster();
  const agents: FakeAgent[] = [];
  let host: Host;
  let web: Service;
  beforeAll(async () => {
    host = await cluster.init();
    for (let n = 0; n < 2; n += 1) {
      const agent = await cluster.worker(host);
      agents.push(agent);
      await until('the worker is ready', async () => {
        const node = await host.control.getNode({ id: agent.nodeId }, aCall());
        return node.status.state === 'ready';
      });
    }
  });
  afterAll(() => cluster[Symbol.asyncDispose]());

  const tasks = (): Promise<Task[]> => host.control.listTasks({ filter: {} }, aCall());
  const service = (): Promise<Service> => host.control.getService({ id: web.id }, aCall());

  async function settled(count: number): Promise<void> {
    await until(`${count} tasks run and no other is left to stop`, async () => {
      const all = await tasks();
      const alive = all.filter(isAlive);
      return (
        alive.length === count &&
        all.every((task) => task.desiredState !== 'remove') &&
        alive.every((task) => task.status.state === 'running' && task.desiredState === 'running') &&
        (await service()).updateStatus?.state !== 'updating'
      );
    });
  }

  /** Every object with the version of its last write. */
  async function versions(): Promise<string[]> {
    const lists = await Promise.all([
      tasks(),
      host.control.listServices({ filter: {} }, aCall()),
      host.control.listNodes({ filter: {} }, aCall()),
    ]);
    return lists
      .flat()
      .map(({ id, meta }) => `${id} ${meta.version}`)
      .toSorted();
  }

  async function preview(write: Write): Promise<Preview> {
    const before = await versions();
    const answer = await host.control.preview(write, aCall());
    expect(await versions()).toEqual(before);
    return answer;
  }

  /** Which tasks start where, and which stop, once agents do nothing. */
  async function done(
    write: () => Promise<unknown>,
  ): Promise<{ starts: string[]; stops: string[] }> {
    const before = new Map((await tasks()).map((task) => [task.id, task]));
    for (const agent of agents) agent.hold();
    await write();
    const after = await tasks();
    const starts = after.filter((task) => !before.has(task.id) && isWantedState(task.desiredState));
    const taken = new Set(starts.map(({ slot }) => slot));
    const stops = after.filter((task) => {
      const old = before.get(task.id);
      if (old === undefined || !isWantedState(old.desiredState)) return false;
      // A successor is prepared before the task that it takes over from is told to stop.
      return !isWantedState(task.desiredState) || (taken.has(task.slot) && isAlive(task));
    });
    for (const agent of agents) agent.resume();
    return {
      starts: starts.map(({ slot, nodeId }) => `${slot} ${nodeId}`).toSorted(),
      stops: stops.map(({ id }) => id).toSorted(),
    };
  }

  function shown({ tasks: planned }: Preview): { starts: string[]; stops: string[] } {
    const starts = planned.filter(({ action }) => action !== 'stop');
    return {
      starts: starts.map(({ slot, toNodeId }) => `${slot} ${toNodeId}`).toSorted(),
      stops: planned.flatMap(({ taskId }) => taskId ?? []).toSorted(),
    };
  }

  it('of a new service shows its tasks and their nodes', async () => {
    const answer = await preview({ kind: 'create-service', spec: spec(SLOTS) });
    expect(answer.spec).toContainEqual({ path: 'mode.replicas', after: '4' });
    const real = await done(async () => {
      web = await host.control.createService({ spec: spec(SLOTS) }, aCall());
    });
    expect(real.starts).toHaveLength(SLOTS);
    expect(shown(answer)).toEqual(real);
    await settled(SLOTS);
  });

  it('shows more tasks than one plan makes', async () => {
    const answer = await preview({ kind: 'create-service', spec: { ...spec(450), name: 'large' } });
    expect(shown(answer).starts).toHaveLength(450);
  });

  it('is refused where the write would be', async () => {
    const refusal = (write: Write) =>
      preview(write).then(
        () => 'no error',
        (error: unknown) => errorCode(error),
      );
    expect(await refusal({ kind: 'create-service', spec: spec(1) })).toBe('already-exists');
    const { id } = web;
    const stale = {
      kind: 'update-service',
      id,
      version: 1,
      spec: spec(1),
      rollback: false,
    } as const;
    expect(await refusal(stale)).toBe('out-of-date');
    expect(await refusal({ kind: 'remove-node', id: host.nodeId, force: false })).toBe(
      'failed-precondition',
    );
    expect(await refusal({ kind: 'remove-node', id: host.nodeId, force: true })).toBe(
      'failed-precondition',
    );
  });

  it('of an update shows its first step and counts the others', async () => {
    const { id, meta } = await service();
    const request = { id, version: meta.version, spec: spec(SLOTS, 'registry.test/web:2') };
    const answer = await preview({ kind: 'update-service', ...request, rollback: false });
    expect(answer.spec).toEqual([
      {
        path: 'task.container.image',
        before: '"registry.test/web:1"',
        after: '"registry.test/web:2"',
      },
    ]);
    expect(answer.tasks).toHaveLength(2);
    expect(answer.later).toBe(SLOTS - 2);
    const real = await done(() =>
      host.control.updateService({ ...request, rollback: false }, aCall()),
    );
    expect(shown(answer)).toEqual(real);
    await settled(SLOTS);
  });

  it('of a rollback shows what comes back', async () => {
    const { id, meta } = await service();
    const write = { kind: 'update-service', id, version: meta.version, rollback: true } as const;
    const first = { ...write, rollbackTo: 0 };
    for (const one of [write, first]) {
      expect((await preview(one)).spec).toMatchObject([{ after: '"registry.test/web:1"' }]);
    }
    await expect(preview({ ...write, rollbackTo: meta.version + 1 })).rejects.toThrow(
      /no spec \d+ in its history/,
    );
  });

  it('of scaling shows which tasks stop', async () => {
    const { id, meta, spec: old } = await service();
    const mode = { kind: 'replicated', replicas: 1 } as const;
    const request = { id, version: meta.version, spec: { ...old, mode }, rollback: false };
    const answer = await preview({ kind: 'update-service', ...request });
    expect(answer.tasks.map(({ action }) => action)).toEqual(['stop', 'stop', 'stop']);
    const real = await done(() => host.control.updateService(request, aCall()));
    expect(shown(answer)).toEqual(real);
    await settled(1);
  });

  it('of draining a node shows where its tasks go', async () => {
    const [task] = (await tasks()).filter(({ status }) => status.state === 'running');
    const { id, meta, spec: old } = await host.control.getNode({ id: task!.nodeId! }, aCall());
    const request = { id, version: meta.version, spec: { ...old, availability: 'drain' as const } };
    const answer = await preview({ kind: 'update-node', ...request });
    expect(answer.spec).toEqual([{ path: 'availability', before: '"active"', after: '"drain"' }]);
    expect(answer.tasks).toMatchObject([{ action: 'move', taskId: task!.id, fromNodeId: id }]);
    await host.control.updateNode(request, aCall());
    await until('the task moved as shown', async () => {
      const [now] = (await tasks()).filter(({ status }) => status.state === 'running');
      return now !== undefined && now.id !== task!.id && now.nodeId === answer.tasks[0]!.toNodeId;
    });
    await settled(1);
  });

  it('what a service waits for is told without a dry run, too', async () => {
    const made = await host.control.createService(
      {
        spec: {
          name: 'yearly',
          mode: { kind: 'replicated-job' },
          task: { container: { image: 'registry.test/web:1' } },
          schedule: { cron: '@yearly' },
        },
      },
      aCall(),
    );
    const before = await versions();
    const waits = await host.control.listServiceWaits({ serviceId: made.id }, aCall());
    const message = 'the next run of yearly is due then';
    expect(waits).toMatchObject([{ code: 'schedule', message }]);
    expect(waits[0]!.until).toBeGreaterThan(made.meta.createdAt);
    expect(await versions()).toEqual(before);
    await host.control.removeService({ id: made.id }, aCall());
    await expect(
      host.control.listServiceWaits({ serviceId: made.id }, aCall()),
    ).rejects.toMatchObject({ code: 'not-found' });
  });

  it('says why nodes refuse what would wait', async () => {
    const lonely = { ...spec(1), name: 'lonely' };
    const placement = { constraints: ['node.labels.moon==1'] };
    const answer = await preview({
      kind: 'create-service',
      spec: { ...lonely, task: { ...lonely.task, placement } },
    });
    expect(answer.tasks).toMatchObject([{ action: 'wait', slot: 1 }]);
    expect(answer.tasks[0]!.message).toMatch(/no suitable node/);
    const made = await host.control.createService(
      { spec: { ...lonely, task: { ...lonely.task, placement } } },
      aCall(),
    );
    const [waiting] = await host.control.listTasks({ filter: { serviceIds: [made.id] } }, aCall());
    const verdicts = await host.control.listNodeVerdicts({ taskId: waiting!.id }, aCall());
    expect(verdicts.map(({ lacks = '' }) => lacks).toSorted()).toEqual([
      'drained',
      expect.stringMatching(/^not ready: /),
      'placement constraints not met: node.labels.moon==1',
    ]);
    await host.control.removeService({ id: made.id }, aCall());
  });

  it('shows which less important tasks of other services make room, and where they go', async () => {
    const cpus = async (id: NodeId): Promise<number> => {
      const node = await host.control.getNode({ id }, aCall());
      return (node.description?.resources.nanoCpus ?? 0) / 2;
    };
    const [free] = (await host.control.listNodes({ filter: {} }, aCall())).filter(
      ({ status, spec: { availability } }) => status.state === 'ready' && availability === 'active',
    );
    const half = await cpus(free!.id);
    const small = spec(2);
    const task = { ...small.task, reservations: { nanoCpus: half } };
    const made = await host.control.createService(
      { spec: { ...small, name: 'small', task } },
      aCall(),
    );
    await until('both run', async () => {
      const all = await host.control.listTasks({ filter: { serviceIds: [made.id] } }, aCall());
      return all.length === 2 && all.every(({ status }) => status.state === 'running');
    });
    const placement = { priority: 5, preempts: true };
    const answer = await preview({
      kind: 'create-service',
      spec: { ...spec(1), name: 'vip', task: { ...task, placement } },
    });
    expect(answer.tasks).toMatchObject([
      { action: 'wait', serviceName: 'small', message: expect.stringMatching(/no suitable node/) },
      { action: 'wait', serviceName: 'vip', message: expect.stringMatching(/must leave/) },
    ]);
    await host.control.removeService({ id: made.id }, aCall());
    await until('both are gone', async () => {
      return (await tasks()).every(({ serviceId }) => serviceId !== made.id);
    });
  });

  it('of a removal shows every task', async () => {
    const answer = await preview({ kind: 'remove-service', id: web.id });
    expect(answer.spec).toEqual([]);
    const real = await done(() => host.control.removeService({ id: web.id }, aCall()));
    expect(real.stops).toHaveLength(1);
    expect(shown(answer)).toEqual(real);
  });
});
