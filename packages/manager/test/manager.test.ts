/** One real manager, over its real sockets. */
import { connect, createWatchClient } from '@swarmd/api';
import { formatRegistryAuth, type Service, type Task } from '@swarmd/model';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { until } from '@swarmd/base/testing';
import type { FakeAgent } from './support/fake-agent.ts';
import { aCall, TestCluster, type Host } from './support/managers.ts';

const IMAGE = 'registry.test/web:1';

function spec(name: string, replicas = 1): Parameters<Host['control']['createService']>[0]['spec'] {
  return {
    name,
    mode: { kind: 'replicated', replicas },
    task: { container: { image: IMAGE }, restart: { delayMs: 0 } },
  };
}

async function tasksOf(host: Host, service: Service): Promise<Task[]> {
  return host.control.listTasks({ filter: { serviceIds: [service.id] } }, aCall());
}

async function running(host: Host, service: Service, count: number): Promise<Task[]> {
  return until(`${count} tasks of ${service.spec.name} run`, async () => {
    const tasks = (await tasksOf(host, service)).filter(
      (task) => task.status.state === 'running' && task.desiredState === 'running',
    );
    return tasks.length === count && tasks;
  });
}

describe('a manager alone', () => {
  let cluster: TestCluster;
  let host: Host;
  const agents: FakeAgent[] = [];
  beforeAll(async () => {
    cluster = new TestCluster();
    host = await cluster.init();
  });
  afterAll(() => cluster[Symbol.asyncDispose]());
  afterEach(async () => {
    for (const { id } of await host.control.listServices({ filter: {} }, aCall())) {
      await host.control.removeService({ id }, aCall());
    }
    for (const agent of agents.splice(0)) {
      await agent[Symbol.asyncDispose]();
      await host.control.removeNode({ id: agent.nodeId, force: true }, aCall());
    }
  });

  async function readyWorker(): Promise<FakeAgent> {
    const agent = await cluster.worker(host);
    agents.push(agent);
    await until('the worker is ready', async () => {
      const node = await host.control.getNode({ id: agent.nodeId }, aCall());
      return node.status.state === 'ready';
    });
    return agent;
  }

  it('makes the cluster and its own node', async () => {
    const made = await host.control.getCluster({}, aCall());
    expect(made.rootCa.joinTokens.worker).toMatch(/^SWMTKN-1-/);
    expect(made.rootCa.keyPem).toBe('');
    const [node, ...others] = await host.control.listNodes({ filter: {} }, aCall());
    expect(others).toEqual([]);
    expect(node).toMatchObject({
      id: host.nodeId,
      role: 'manager',
      index: 1,
      manager: { raftId: 1, apiAddress: host.options.advertise.api },
    });
  });

  it('runs a service on an agent, in one commit up to the placement', async () => {
    const agent = await readyWorker();
    agent.hold();
    const service = await host.control.createService({ spec: spec('web', 3) }, aCall());
    const [first, ...more] = await tasksOf(host, service);
    expect(more).toHaveLength(2);
    expect(first).toMatchObject({ nodeId: agent.nodeId, meta: { version: service.meta.version } });
    agent.resume();
    const tasks = await running(host, service, 3);
    expect(new Set(tasks.map((task) => task.slot))).toEqual(new Set([1, 2, 3]));
    const counts = await host.control.listServiceCounts({ serviceIds: [service.id] }, aCall());
    expect(counts).toEqual([{ serviceId: service.id, desired: 3, running: 3, completed: 0 }]);
    await until('statuses are acknowledged', () => agent.acknowledged >= 0);
  });

  it('replaces a task that failed', async () => {
    const agent = await readyWorker();
    const service = await host.control.createService({ spec: spec('web') }, aCall());
    const [before] = await running(host, service, 1);
    agent.fail(before!.id);
    await until('a new task', async () => {
      const [now] = await running(host, service, 1);
      return now!.id !== before!.id && now!.slot === before!.slot;
    });
    const old = await host.control.getTask({ id: before!.id }, aCall());
    expect(old.status.state).toBe('failed');
  });

  it('moves the tasks of a lost node', async () => {
    const [lost, other] = [await readyWorker(), await readyWorker()];
    const service = await host.control.createService({ spec: spec('web', 2) }, aCall());
    await running(host, service, 2);
    await lost[Symbol.asyncDispose]();
    await until('the node is down', async () => {
      const node = await host.control.getNode({ id: lost.nodeId }, aCall());
      return node.status.state === 'down';
    });
    await until('both tasks on the other node', async () => {
      const tasks = await running(host, service, 2);
      return tasks.every((task) => task.nodeId === other.nodeId);
    });
  });

  it('drains a node, scales, updates, rolls back, removes', async () => {
    const [drained, other] = [await readyWorker(), await readyWorker()];
    const service = await host.control.createService({ spec: spec('web', 2) }, aCall());
    await running(host, service, 2);
    const node = await host.control.getNode({ id: drained.nodeId }, aCall());
    await host.control.updateNode(
      { id: node.id, version: node.meta.version, spec: { ...node.spec, availability: 'drain' } },
      aCall(),
    );
    await until('drained', async () =>
      (await running(host, service, 2)).every((task) => task.nodeId === other.nodeId),
    );
    let now = await host.control.getService({ id: service.id }, aCall());
    now = await host.control.updateService(
      { id: now.id, version: now.meta.version, spec: spec('web', 4), rollback: false },
      aCall(),
    );
    expect(now.previousSpec?.mode).toMatchObject({ replicas: 2 });
    await running(host, service, 4);
    now = await host.control.getService({ id: service.id }, aCall());
    now = await host.control.updateService(
      { id: now.id, version: now.meta.version, rollback: true },
      aCall(),
    );
    await running(host, service, 2);
    await host.control.removeService({ id: service.id }, aCall());
    await until('tasks are forgotten', async () => (await tasksOf(host, service)).length === 0);
    await until('the agent was told', () => other.tasks.size === 0);
  });

  it('a task waits, says why, and starts when a node comes', async () => {
    const service = await host.control.createService({ spec: spec('web') }, aCall());
    const [waiting] = await tasksOf(host, service);
    expect(waiting?.nodeId).toBeUndefined();
    expect(waiting?.status.error).toMatch(/no suitable node/);
    await readyWorker();
    await running(host, service, 1);
  });

  it('comes back from its disk', async () => {
    const service = await host.control.createService({ spec: spec('web') }, aCall());
    host = await cluster.restart(host);
    const found = await host.control.getService({ id: service.id }, aCall());
    expect(found).toEqual(service);
  });

  it('gives registry credentials to nodes that run the service, shows them to nobody, and forgets them with it', async () => {
    const [agent, idle] = [await readyWorker(), await readyWorker()];
    const auth = (password: string): Uint8Array =>
      formatRegistryAuth({ reg: { username: 'ann', password, identityToken: '' } });
    const request = { spec: spec('web'), registryAuth: auth('old') };
    const service = await host.control.createService(request, aCall());
    const [task] = await running(host, service, 1);
    const [busy, other] = task?.nodeId === agent.nodeId ? [agent, idle] : [idle, agent];
    const held = () => [...busy.secrets.values()];
    expect(held()).toEqual([Buffer.from(auth('old')).toString()]);
    expect([...other.secrets.values()]).toEqual([]);
    const shown = await host.control.getService({ id: service.id }, aCall());
    expect(shown.spec.task.container.registrySecret).not.toBe('');
    const [secret] = await host.control.listSecrets({ filter: {} }, aCall());
    expect(secret?.spec).toMatchObject({ name: `registry-auth-${service.id}` });
    expect(secret?.spec.data.length).toBe(0);
    const { id, meta } = shown;
    await host.control.updateService(
      { id, version: meta.version, spec: shown.spec, rollback: false, registryAuth: auth('new') },
      aCall(),
    );
    await until('the node has the new ones', () =>
      held().every((text) => text === Buffer.from(auth('new')).toString()),
    );
    expect((await tasksOf(host, service)).map((one) => one.id)).toEqual([task?.id]);
    await host.control.removeService({ id }, aCall());
    expect(await host.control.listSecrets({ filter: {} }, aCall())).toEqual([]);
    const broken = { spec: spec('web'), registryAuth: new TextEncoder().encode('ann:pass') };
    await expect(host.control.createService(broken, aCall())).rejects.toMatchObject({
      code: 'invalid-argument',
    });
  });

  it('gives keys to nodes with an encrypted network, new ones once all have them, and shows them to nobody', async () => {
    const [agent, idle] = [await readyWorker(), await readyWorker()];
    const network = { name: 'safe', options: { encrypted: '' } };
    const { id: target } = await host.control.createNetwork({ spec: network }, aCall());
    const plain = spec('web');
    const service = await host.control.createService(
      { spec: { ...plain, task: { ...plain.task, networks: [{ target }] } } },
      aCall(),
    );
    const [task] = await running(host, service, 1);
    const [busy, other] = task?.nodeId === agent.nodeId ? [agent, idle] : [idle, agent];
    expect(busy.keys).toMatchObject({ primary: 1, keys: [{ id: 1 }, { id: 2 }] });
    expect(busy.keys?.keys.map(({ secret }) => secret.length)).toEqual([32, 32]);
    expect(other.keys).toBeUndefined();
    const shown = await host.control.getCluster({}, aCall());
    expect(shown.overlayKeys?.keys.map(({ id, secret }) => [id, secret.length])).toEqual([
      [1, 0],
      [2, 0],
    ]);
    busy.declare({ lacks: '', incarnation: 'first', newestKey: 1 });
    await until(
      'it hears of those who take part',
      () => busy.encryptedPeers.get(busy.nodeId)?.incarnation === 'first',
    );
    const rotate = { rotateWorkerToken: false, rotateManagerToken: false, rotateOverlayKeys: true };
    await host.control.updateCluster({ version: shown.meta.version, ...rotate }, aCall());
    const { overlayKeys } = await host.control.getCluster({}, aCall());
    // It has said that it has only the first key.
    expect(overlayKeys?.primary).toBe(1);
    busy.declare({ lacks: '', incarnation: 'first', newestKey: 2 });
    await until('new keys come', () => busy.keys?.primary === 2 && busy.keys.keys.length === 3);
    expect(other.keys).toBeUndefined();
  });

  it('encrypts the mesh if every node can, and tells them all', async () => {
    const agent = await readyWorker();
    const settings = async (encryptMesh: boolean): Promise<void> => {
      const { meta, spec } = await host.control.getCluster({}, aCall());
      const rest = { rotateWorkerToken: false, rotateManagerToken: false };
      const request = { version: meta.version, spec: { ...spec, encryptMesh }, ...rest };
      await host.control.updateCluster(request, aCall());
    };
    agent.declare({ lacks: 'its kernel has no ESP', incarnation: '', newestKey: 0 });
    await until('that is known', async () => {
      const node = await host.control.getNode({ id: agent.nodeId }, aCall());
      return node.description?.encryption?.lacks !== '';
    });
    await expect(settings(true)).rejects.toThrow(
      /mesh cannot be encrypted: .*its kernel has no ESP/,
    );
    agent.declare({ lacks: '', incarnation: '', newestKey: 0 });
    await until('that is known', async () => {
      const node = await host.control.getNode({ id: agent.nodeId }, aCall());
      return node.description?.encryption?.lacks === '';
    });
    await settings(true);
    await until('it is told, with keys', () => agent.keys !== undefined && agent.encryptsMesh);
    await settings(false);
    await until('it is told of the end', () => !agent.encryptsMesh);
  });

  it('shows watchers what is and what comes, without secrets', async () => {
    const secret = { name: 'key', labels: {}, data: new TextEncoder().encode('hush') };
    await host.control.createSecret({ spec: secret }, aCall());
    using channel = connect({ socketPath: host.manager.controlSocket });
    const seen: string[] = [];
    const contents: number[] = [];
    const watching = createWatchClient(channel).watch(
      { tables: ['secret', 'config'], includeExisting: true },
      aCall(),
    );
    for await (const { changes } of watching) {
      for (const change of changes) {
        if (change.kind !== 'put') continue;
        if (change.table !== 'secret' && change.table !== 'config') continue;
        seen.push(`${change.table} ${change.object.spec.name}`);
        contents.push(change.object.spec.data.byteLength);
      }
      if (seen.length === 1) {
        await host.control.createConfig({ spec: { ...secret, name: 'conf' } }, aCall());
      }
      if (seen.length === 2) break;
    }
    expect(seen).toEqual(['secret key', 'config conf']);
    expect(contents).toEqual([0, 4]);
  });
});

describe('what the control API refuses', () => {
  let cluster: TestCluster;
  let host: Host;
  beforeAll(async () => {
    cluster = new TestCluster();
    host = await cluster.init();
  });
  afterAll(() => cluster[Symbol.asyncDispose]());

  it('malformed specs, with path and reason', async () => {
    const refused = async (bad: object, code: string, text: RegExp): Promise<void> => {
      const attempt = host.control.createService({ spec: { ...spec('web'), ...bad } }, aCall());
      await expect(attempt).rejects.toMatchObject({ code, message: expect.stringMatching(text) });
    };
    const task = (container: object): object => ({
      task: { container: { image: 'x', ...container } },
    });
    await refused({ name: 'not a name' }, 'invalid-argument', /name: must be a DNS label/);
    await refused({ task: { container: { image: '' } } }, 'invalid-argument', /image/);
    await refused({ task: { container: { image: 'A B' } } }, 'invalid-argument', /image reference/);
    await refused(
      { task: { container: { image: 'x' }, placement: { constraints: ['node.what==1'] } } },
      'invalid-argument',
      /node\.what/,
    );
    await refused(
      { task: { container: { image: 'x' }, networks: [{ target: 'nope' }] } },
      'invalid-argument',
      /network nope does not exist/,
    );
    await refused(
      task({ secrets: [{ id: 'nope', name: 'key', target: 'key' }] }),
      'invalid-argument',
      /secret key \(nope\) does not exist/,
    );
    await refused(
      { task: { container: { image: 'x' }, reservations: { memoryBytes: 1 } } },
      'invalid-argument',
      /memory/,
    );
    await refused(
      { endpoint: { mode: 'dnsrr', ports: [{ targetPort: 80, publishedPort: 80 }] } },
      'invalid-argument',
      /vip/,
    );
    const left = await host.control.listServices({ filter: {} }, aCall());
    expect(left).toEqual([]);
  });

  it('taken names and ports, stale versions, renaming, objects in use', async () => {
    const { control } = host;
    const network = await control.createNetwork({ spec: { name: 'blue' } }, aCall());
    expect(network.vni).toBeGreaterThanOrEqual(4097);
    const ports = [{ targetPort: 80, publishedPort: 8080 }];
    const web = await control.createService(
      {
        spec: {
          ...spec('web'),
          task: { container: { image: IMAGE }, networks: [{ target: network.id }] },
          endpoint: { ports },
        },
      },
      aCall(),
    );
    expect(web.endpoint.virtualIps).toHaveLength(1);
    const refusals: [string, () => Promise<unknown>][] = [
      ['already-exists', () => control.createService({ spec: spec('web') }, aCall())],
      ['already-exists', () => control.createNetwork({ spec: { name: 'blue' } }, aCall())],
      [
        'failed-precondition',
        () => control.createService({ spec: { ...spec('web2'), endpoint: { ports } } }, aCall()),
      ],
      ['failed-precondition', () => control.removeNetwork({ id: network.id }, aCall())],
      [
        'out-of-date',
        () =>
          control.updateService(
            { id: web.id, version: web.meta.version - 1, spec: spec('web'), rollback: false },
            aCall(),
          ),
      ],
      [
        'unimplemented',
        () =>
          control.updateService(
            { id: web.id, version: web.meta.version, spec: spec('other'), rollback: false },
            aCall(),
          ),
      ],
      [
        'failed-precondition',
        () =>
          control.updateService({ id: web.id, version: web.meta.version, rollback: true }, aCall()),
      ],
      ['failed-precondition', () => control.removeNode({ id: host.nodeId, force: false }, aCall())],
      ['failed-precondition', () => control.removeNode({ id: host.nodeId, force: true }, aCall())],
      ['not-found', () => control.getService({ id: network.id as never }, aCall())],
      ['not-found', () => control.removeService({ id: network.id as never }, aCall())],
    ];
    for (const [code, attempt] of refusals) {
      await expect(attempt()).rejects.toMatchObject({ code });
    }
    expect(await control.getService({ id: web.id }, aCall())).toEqual(web);
  });

  it('join tokens that are wrong or were rotated', async () => {
    const before = await host.control.getCluster({}, aCall());
    const after = await host.control.updateCluster(
      { version: before.meta.version, rotateWorkerToken: true, rotateManagerToken: false },
      aCall(),
    );
    expect(after.rootCa.joinTokens.manager).toBe(before.rootCa.joinTokens.manager);
    await expect(cluster.certificate(host, before.rootCa.joinTokens.worker)).rejects.toMatchObject({
      code: 'permission-denied',
    });
    await cluster.certificate(host, after.rootCa.joinTokens.worker);
    expect(await host.control.listNodes({ filter: {} }, aCall())).toHaveLength(2);
  });
});
