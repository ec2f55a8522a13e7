/**
 * SwarmKit's scenarios of the control API, and those of moby's integration suite that are about it, by
 * their names. What of them is a rule of the spec alone is in service-rules.test.ts; rotation of unlock
 * keys, of the root CA and blacklisted certificates do not exist (yet).
 */
import { errorCode } from '@swarmd/base';
import type { Node, Service, ServiceSpecInput, Task } from '@swarmd/model';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { until } from '@swarmd/base/testing';
import type { FakeAgent } from './support/fake-agent.ts';
import { aCall, TestCluster, type Host } from './support/managers.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

function spec(name: string, more: Partial<ServiceSpecInput> = {}): ServiceSpecInput {
  return {
    name,
    task: { container: { image: 'registry.test/web:1' }, restart: { delayMs: 0 } },
    update: { monitorMs: 0, parallelism: 0 },
    ...more,
  };
}

describe('control API', () => {
  const cluster = new TestCluster();
  let host: Host;
  let agent: FakeAgent;
  beforeAll(async () => {
    host = await cluster.init();
    agent = await readyWorker();
  });
  afterAll(() => cluster[Symbol.asyncDispose]());

  async function readyWorker(): Promise<FakeAgent> {
    const worker = await cluster.worker(host);
    await until('the worker is ready', async () => (await nodeOf(worker)).status.state === 'ready');
    return worker;
  }
  const nodeOf = (worker: FakeAgent): Promise<Node> =>
    host.control.getNode({ id: worker.nodeId }, aCall());
  const create = (named: ServiceSpecInput): Promise<Service> =>
    host.control.createService({ spec: named }, aCall());
  const remove = (service: Service): Promise<void> =>
    host.control.removeService({ id: service.id }, aCall());
  const now = (service: Service): Promise<Service> =>
    host.control.getService({ id: service.id }, aCall());
  const tasksOf = (service: Service): Promise<Task[]> =>
    host.control.listTasks({ filter: { serviceIds: [service.id] } }, aCall());
  const refusal = (what: Promise<unknown>): Promise<string> =>
    what.then(
      () => 'accepted',
      (error: unknown) => `${errorCode(error)}: ${(error as Error).message}`,
    );

  async function update(
    service: Service,
    change: (was: Service['spec']) => ServiceSpecInput,
  ): Promise<Service> {
    const { id, meta, spec: was } = await now(service);
    const request = { id, version: meta.version, spec: change(was), rollback: false };
    return host.control.updateService(request, aCall());
  }

  /** Waits for it. @returns the ids of the tasks that run then. */
  async function running(service: Service, count: number): Promise<string[]> {
    let ids: string[] = [];
    await until(`${count} tasks of ${service.spec.name} run`, async () => {
      const { updateStatus } = await now(service);
      const wanted = (await tasksOf(service)).filter((task) => task.desiredState === 'running');
      ids = wanted.map(({ id }) => id).toSorted();
      const isSettled = updateStatus?.state !== 'updating' && wanted.length === count;
      return isSettled && wanted.every(({ status }) => status.state === 'running');
    });
    return ids;
  }

  it('RemoveUsedSecret, RemoveUnusedSecret, RemoveUsedConfig, RemoveUnusedConfig', async () => {
    const { control } = host;
    const secret = await control.createSecret({ spec: { name: 's', data: bytes('x') } }, aCall());
    const config = await control.createConfig({ spec: { name: 'c', data: bytes('x') } }, aCall());
    const user = await create(
      spec('user', {
        task: {
          container: {
            image: 'a',
            secrets: [{ id: secret.id, name: 's', target: 's' }],
            configs: [{ id: config.id, name: 'c', target: 'c' }],
          },
        },
      }),
    );
    const removeSecret = (): Promise<void> => control.removeSecret({ id: secret.id }, aCall());
    const removeConfig = (): Promise<void> => control.removeConfig({ id: config.id }, aCall());
    expect(await refusal(removeSecret())).toMatch(/^invalid-argument: .*in use by service user/);
    expect(await refusal(removeConfig())).toMatch(/^invalid-argument: .*in use by service user/);
    await remove(user);
    expect(await refusal(removeSecret())).toBe('accepted');
    expect(await refusal(removeConfig())).toBe('accepted');
    expect(await refusal(removeSecret())).toMatch(/^not-found: /);
  });

  it('RemoveNetworkWithAttachedService, ServiceUpdateNetwork', async () => {
    const [a, b] = await Promise.all(
      ['net-a', 'net-b'].map((name) => host.control.createNetwork({ spec: { name } }, aCall())),
    );
    if (a === undefined || b === undefined) throw new Error('both are made');
    const on = (id: string) => ({ container: { image: 'a' }, networks: [{ target: id }] });
    const service = await create(spec('netted', { task: on(a.id) }));
    const [before] = await running(service, 1);
    const removal = (id: typeof a.id): Promise<void> => host.control.removeNetwork({ id }, aCall());
    expect(await refusal(removal(a.id))).toMatch(
      /^failed-precondition: .*in use by service netted/,
    );
    // Swarm rejects this change (ServiceUpdateRejectNetworkChange); here it replaces the tasks.
    const changed = await update(service, (was) => ({ ...was, task: on(b.id) }));
    expect(changed.endpoint.virtualIps.map(({ networkId }) => networkId)).toEqual([b.id]);
    await until('its task is on the other network', async () => {
      const [task] = (await tasksOf(service)).filter(
        ({ desiredState }) => desiredState === 'running',
      );
      return task?.id !== before && task?.networks[0]?.networkId === b.id;
    });
    await remove(service);
    await until('nothing is attached', async () => (await tasksOf(service)).length === 0);
    expect(await Promise.all([refusal(removal(a.id)), refusal(removal(b.id))])).toEqual([
      'accepted',
      'accepted',
    ]);
  });

  it('ValidateIPAMConfiguration', async () => {
    const make = (more: object): Promise<string> =>
      refusal(host.control.createNetwork({ spec: { name: 'bad', ...more } }, aCall()));
    expect(
      await Promise.all([
        make({ subnet: '10.300.0.0/24' }),
        make({ subnet: 'nonsense' }),
        make({ subnet: '10.50.0.0/24', gateway: '10.51.0.1' }),
        make({ subnet: '10.50.0.0/24', ipRange: '10.51.0.0/28' }),
        make({ gateway: '10.50.0.1' }),
      ]),
    ).toEqual(
      Array.from({ length: 5 }, () => expect.stringMatching(/^invalid-argument: /) as string),
    );
  });

  it('ServiceEndpointSpecUpdate: ports change in place, and taken ones are refused', async () => {
    const port = (publishedPort: number) => ({ ports: [{ targetPort: 80, publishedPort }] });
    const [first, second] = [
      await create(spec('edge', { endpoint: port(8_080) })),
      await create(spec('rival', { endpoint: port(8_081) })),
    ];
    const before = await running(first, 1);
    const changed = await update(first, (was) => ({ ...was, endpoint: port(8_082) }));
    expect(changed.endpoint.ports).toMatchObject([{ publishedPort: 8_082 }]);
    expect(await running(first, 1)).toEqual(before);
    expect(await refusal(update(second, (was) => ({ ...was, endpoint: port(8_082) })))).toMatch(
      /^failed-precondition: .*8082/,
    );
    await Promise.all([remove(first), remove(second)]);
  });

  it('ListServiceStatuses, JobService: what is wanted, runs and has completed', async () => {
    const service = await create(spec('counted', { mode: { kind: 'replicated', replicas: 3 } }));
    const { update: _of, ...jobSpec } = spec('job', {
      mode: { kind: 'replicated-job', totalCompletions: 2, maxConcurrent: 1 },
    });
    const job = await create(jobSpec);
    await running(service, 3);
    const counts = await host.control.listServiceCounts(
      { serviceIds: [service.id, job.id] },
      aCall(),
    );
    expect(counts).toMatchObject([
      { serviceId: service.id, desired: 3, running: 3, completed: 0 },
      { serviceId: job.id, desired: 2, completed: 0 },
    ]);
    expect((await now(job)).jobStatus).toMatchObject({ iteration: 1 });
    expect((await update(job, (was) => was)).jobStatus).toMatchObject({ iteration: 2 });
    const withPolicy = { ...jobSpec, update: { parallelism: 3 } };
    expect(await refusal(update(job, () => withPolicy))).toMatch(/^invalid-argument: .*run again/);
    await Promise.all([remove(service), remove(job)]);
  });

  it('ServiceUpdateLabel, ServiceUpdatePidsLimit replace no task; ServiceUpdateSecrets and Configs do', async () => {
    const { control } = host;
    const secret = await control.createSecret({ spec: { name: 's2', data: bytes('x') } }, aCall());
    const config = await control.createConfig({ spec: { name: 'c2', data: bytes('x') } }, aCall());
    const service = await create(spec('changing'));
    let ids = await running(service, 1);
    await update(service, (was) => ({ ...was, labels: { a: '1' } }));
    expect(await running(service, 1)).toEqual(ids);
    // ADR 0023
    await update(service, ({ task, ...was }) => {
      return { ...was, task: { ...task, limits: { ...task.limits, pids: 50 } } };
    });
    await until('its task has the new limits', async () =>
      (await tasksOf(service)).every(({ spec: { limits } }) => limits.pids === 50),
    );
    expect(await running(service, 1)).toEqual(ids);
    const changes: ((was: Service['spec']) => ServiceSpecInput)[] = [
      ({ task, ...was }) => {
        const secrets = [{ id: secret.id, name: 's2', target: 's2' }];
        return { ...was, task: { ...task, container: { ...task.container, secrets } } };
      },
      ({ task, ...was }) => {
        const configs = [{ id: config.id, name: 'c2', target: 'c2' }];
        return { ...was, task: { ...task, container: { ...task.container, configs } } };
      },
    ];
    for (const change of changes) {
      await update(service, change);
      const next = await running(service, 1);
      expect(next).not.toEqual(ids);
      ids = next;
    }
    await remove(service);
  });

  it('RemoveNodes, OrphanNodeTasks: only what is down, unless forced; its tasks are orphaned', async () => {
    const leaving = await readyWorker();
    const service = await create(
      spec('there', {
        mode: { kind: 'global' },
        task: {
          container: { image: 'a' },
          placement: { constraints: [`node.id==${leaving.nodeId}`] },
        },
      }),
    );
    await running(service, 1);
    const removal = (force: boolean): Promise<string> =>
      refusal(host.control.removeNode({ id: leaving.nodeId, force }, aCall()));
    expect(await removal(false)).toMatch(/^failed-precondition: .*ready/);
    await leaving[Symbol.asyncDispose]();
    await until('it is down', async () => (await nodeOf(leaving)).status.state === 'down');
    expect(await removal(false)).toBe('accepted');
    expect(await removal(false)).toMatch(/^not-found: /);
    await until('nothing of it is left', async () => (await tasksOf(service)).length === 0);
    await remove(service);
  });

  it('UpdateNodeDemote: the last manager stays one', async () => {
    const node = await host.control.getNode({ id: host.nodeId }, aCall());
    const request = { id: node.id, version: node.meta.version };
    const demotion = host.control.updateNode(
      { ...request, spec: { ...node.spec, role: 'worker' } },
      aCall(),
    );
    expect(await refusal(demotion)).toMatch(/^failed-precondition: /);
    expect((await host.control.getNode({ id: host.nodeId }, aCall())).spec.role).toBe('manager');
  });

  it('UpdateClusterRotateToken: one role at a time, and nothing else', async () => {
    const before = await host.control.getCluster({}, aCall());
    const rotate = (version: number) =>
      host.control.updateCluster(
        { version, rotateWorkerToken: true, rotateManagerToken: false },
        aCall(),
      );
    const after = await rotate(before.meta.version);
    expect(after.rootCa.joinTokens.worker).not.toBe(before.rootCa.joinTokens.worker);
    expect(after.rootCa.joinTokens.manager).toBe(before.rootCa.joinTokens.manager);
    expect(after.spec).toEqual(before.spec);
    expect(await refusal(rotate(before.meta.version))).toMatch(/^out-of-date: /);
    expect((await nodeOf(agent)).status.state).toBe('ready');
  });
});
