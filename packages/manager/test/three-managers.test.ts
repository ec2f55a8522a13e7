/** Three real managers on loopback: forwarding, sessions at any of them, loss of the leader. */
import {
  createCaClient,
  createControlClient,
  createDispatcherClient,
  createMembershipClient,
  type AgentMessage,
  type ReplicaState,
} from '@swarmd/api';
import { errorCode } from '@swarmd/base';
import {
  asId,
  type Node,
  type NodeId,
  type NodeRole,
  type Service,
  type Task,
} from '@swarmd/model';
import { createKeyAndCsr } from '@swarmd/pki';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { until } from '@swarmd/base/testing';
import { aCall, TestCluster, type Host } from './support/managers.ts';

const SPEC = {
  name: 'web',
  mode: { kind: 'replicated', replicas: 3 },
  task: { container: { image: 'registry.test/web:1' }, restart: { delayMs: 0 } },
} as const;

const isLeader = (host: Host): boolean => host.manager.status().role === 'leader';

async function runningTasks(host: Host, service: Service, count: number): Promise<Task[]> {
  return until(`${count} tasks run`, async () => {
    const tasks = await host.control.listTasks({ filter: { serviceIds: [service.id] } }, aCall());
    const running = tasks.filter(
      (task) => task.status.state === 'running' && task.desiredState === 'running',
    );
    return running.length === count && running;
  });
}

const noMessages: AsyncIterable<AgentMessage> = {
  [Symbol.asyncIterator]: () => ({
    next: () => Promise.resolve({ done: true, value: undefined }),
  }),
};

/** One cluster for all tests, in this order: the later ones take it apart. */
describe('three managers', () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = new TestCluster();
    const first = await cluster.init({ nodeDownAfterMs: 3_000 });
    await cluster.join(first);
    await cluster.join(first);
    await until('all are voters', () => {
      const { members } = first.manager.status();
      return members.length === 3 && members.every((member) => member.role === 'voter');
    });
  }, 60_000);
  afterAll(() => cluster[Symbol.asyncDispose]());

  const leader = (): Promise<Host> => until('a leader', () => cluster.hosts.find(isLeader));
  const followers = (): Host[] => cluster.hosts.filter((host) => !isLeader(host));

  it('a follower passes writes on and reads its own write', async () => {
    const [follower] = followers();
    const spec = { ...SPEC, name: 'first' };
    const service = await follower!.control.createService({ spec }, aCall());
    for (const host of cluster.hosts) {
      expect(await host.control.getService({ id: service.id }, aCall())).toEqual(service);
    }
    await expect(follower!.control.createService({ spec }, aCall())).rejects.toMatchObject({
      code: 'already-exists',
    });
    await follower!.control.removeService({ id: service.id }, aCall());
  });

  it('an agent at a follower gets its tasks, also with a certificate from there', async () => {
    const [follower] = followers();
    const agent = await cluster.worker(follower!);
    const service = await follower!.control.createService({ spec: SPEC }, aCall());
    await runningTasks(follower!, service, 3);
    expect(agent.tasks.size).toBe(3);
    await until('it knows all managers', () => agent.managers.length === 3);
  });

  it('a task is told to stop once every node has confirmed that nothing new comes', async () => {
    const host = await leader();
    await cluster.worker(host);
    const [first, second] = cluster.agents;
    const spec = {
      ...SPEC,
      name: 'published',
      mode: { kind: 'replicated' as const, replicas: 2 },
      update: { parallelism: 0, monitorMs: 0 },
      endpoint: { ports: [{ targetPort: 80 }] },
    };
    const service = await host.control.createService({ spec }, aCall());
    const old = await runningTasks(host, service, 2);
    second!.confirms = false;
    const { id, meta, spec: known } = service;
    const again = { ...known, task: { ...known.task, forceUpdate: 1 } };
    await host.control.updateService(
      { id, version: meta.version, spec: again, rollback: false },
      aCall(),
    );
    const get = () =>
      Promise.all(old.map((task) => host.control.getTask({ id: task.id }, aCall())));
    await until('the old tasks leave', async () =>
      (await get()).every((task) => task.desiredState === 'shutdown'),
    );
    const left = Math.max(...(await get()).map((task) => task.meta.version));
    await until('both nodes know', () => Math.min(first!.version, second!.version) >= left);
    const told = old.map((task) => (first!.tasks.get(task.id) ?? second!.tasks.get(task.id))!);
    expect(told.map((task) => task.desiredState)).toEqual(['running', 'running']);
    second!.confirms = true;
    second!.confirm();
    await until('they have stopped', async () =>
      (await get()).every((task) => task.status.state === 'shutdown'),
    );
    const because = (await get()).flatMap((task) => task.because.map(({ code }) => code));
    expect(because).not.toContain('release-timeout');
    await host.control.removeService({ id }, aCall());
    await until('nothing of it is left', async () => {
      const filter = { serviceIds: [id] };
      return (await host.control.listTasks({ filter }, aCall())).length === 0;
    });
  });

  it('a manager that was stopped catches up from its disk', async () => {
    const [follower] = followers();
    const others = cluster.hosts.filter((host) => host !== follower);
    await follower!.manager[Symbol.asyncDispose]();
    const spec = { ...SPEC, name: 'meanwhile' };
    const service = await others[0]!.control.createService({ spec }, aCall());
    await runningTasks(others[0]!, service, 3);
    const again = await cluster.restart(follower!);
    expect((await again.control.getService({ id: service.id }, aCall())).spec.name).toBe(spec.name);
  });

  it('a manager leaves, and says that it has stopped', async () => {
    const [follower] = followers();
    const guest = await cluster.join(follower!);
    const voters = (): number =>
      follower!.manager.status().members.filter((member) => member.role === 'voter').length;
    await until('it is one of four', () => voters() === 4);
    const channel = cluster.connect(follower!, guest.identity);
    // Raft's members are known there before the node's object is: whoever is not known yet asks again.
    await until('it is let go', () =>
      createMembershipClient(channel)
        .leave({}, aCall())
        .then(
          () => true,
          (error: unknown) => {
            if (errorCode(error) === 'unavailable') return undefined;
            throw error;
          },
        ),
    );
    await until('three are left', () => voters() === 3);
    await expect(guest.manager.failed).rejects.toThrow(/removed/);
    const node = await follower!.control.getNode({ id: guest.nodeId }, aCall());
    expect(node.manager).toBeUndefined();
    expect(node.spec.role).toBe('worker');
    await cluster.stop(guest);
  });

  it('a worker becomes a manager, and the manager that leads a worker', async () => {
    const [asked] = followers();
    const setRole = (id: NodeId, role: NodeRole): Promise<Node> =>
      until('nothing else changes the node', async () => {
        const { meta, spec } = await asked!.control.getNode({ id }, aCall());
        const request = { id, version: meta.version, spec: { ...spec, role } };
        return asked!.control.updateNode(request, aCall()).catch((error: unknown) => {
          if (errorCode(error) === 'out-of-date') return undefined;
          throw error;
        });
      });
    const members = () => asked!.manager.status().members;
    const agent = await cluster.worker(asked!);
    await until('it is told to be a worker', () => agent.role === 'worker');
    await setRole(agent.nodeId, 'manager');
    await until('it is told to be a manager', () => agent.role === 'manager');
    const promoted = await cluster.promote(asked!, agent);
    await until('it is a voter', () =>
      members().some((one) => one.nodeId === promoted.nodeId && one.role === 'voter'),
    );
    const { raftId } = promoted.options;
    expect(await cluster.enterAgain(asked!, promoted, raftId)).toBe(raftId);
    await expect(cluster.enterAgain(asked!, promoted)).rejects.toThrow(/is a manager already/);
    const old = await leader();
    expect(old).not.toBe(asked);
    expect(await setRole(old.nodeId, 'worker')).not.toHaveProperty('manager');
    // A follower's own picture of Raft follows what it applies by a moment.
    await until('the one that was asked sees it go', () =>
      members().every((one) => one.nodeId !== old.nodeId),
    );
    await expect(old.manager.failed).rejects.toThrow(/removed/);
    await cluster.stop(old);
    await expect(cluster.enter(asked!, old.identity)).rejects.toThrow(/node promote/);
  });

  it('goes on when the leader is gone, and no node is disturbed', async () => {
    const lost = await leader();
    await Promise.all(cluster.hosts.map((host) => cluster.worker(host)));
    const spec = { ...SPEC, name: 'steady' };
    const service = await lost.control.createService({ spec }, aCall());
    const before = await runningTasks(lost, service, 3);
    await cluster.stop(lost);
    await until('another one leads', () => cluster.hosts.some(isLeader));
    const [left] = followers();
    const more = await left!.control.createService({ spec: { ...SPEC, name: 'more' } }, aCall());
    await runningTasks(left!, more, 3);
    const after = await runningTasks(left!, service, 3);
    expect(new Set(after.map((task) => task.id))).toEqual(new Set(before.map((task) => task.id)));
    // One that had not been heard of before the leader was gone is now. Of one that was taken for dead the
    // tasks would be others.
    await until('every agent has a session again, and its node is ready', async () => {
      const nodes = await left!.control.listNodes({ filter: {} }, aCall());
      const states = new Map(nodes.map(({ id, status }) => [id, status.state]));
      return cluster.agents.every(
        ({ isConnected, nodeId }) => isConnected && states.get(nodeId) === 'ready',
      );
    });
  });

  it('a lost manager can be removed by force, and only so', async () => {
    const [left] = followers();
    const known = new Set(cluster.hosts.map((host) => host.nodeId));
    const { members } = left!.manager.status();
    const lost = asId(
      'node',
      members.find(({ nodeId }) => !known.has(asId('node', nodeId)))!.nodeId,
    );
    const remove = (force: boolean) => left!.control.removeNode({ id: lost, force }, aCall());
    await expect(remove(false)).rejects.toMatchObject({ code: 'failed-precondition' });
    await remove(true);
    await until('two are left', () => left!.manager.status().members.length === 2);
    await expect(left!.control.getNode({ id: lost }, aCall())).rejects.toMatchObject({
      code: 'not-found',
    });
    const { removedManagers } = await left!.control.getCluster({}, aCall());
    expect(removedManagers).toContain(lost);
  });

  it('the certificate of a removed manager, still valid, opens nothing any more', async () => {
    const [left] = followers();
    const { rootCa } = await left!.control.getCluster({}, aCall());
    const guest = await cluster.certificate(left!, rootCa.joinTokens.manager);
    const channel = cluster.connect(left!, guest.identity);
    await createControlClient(channel).listServices({ filter: {} }, aCall());
    await left!.control.removeNode({ id: guest.nodeId, force: true }, aCall());
    // From now on this manager knows.
    await left!.control.getCluster({}, aCall());
    const session = createDispatcherClient(channel).session(noMessages, aCall());
    await Promise.all(
      [
        createControlClient(channel).listServices({ filter: {} }, aCall()),
        createMembershipClient(channel).status({}, aCall()),
        createCaClient(channel).issueCertificate({ csrPem: createKeyAndCsr().csrPem }, aCall()),
        session[Symbol.asyncIterator]().next(),
      ].map((call) =>
        expect(call).rejects.toMatchObject({
          code: 'permission-denied',
          message: expect.stringContaining('removed') as string,
        }),
      ),
    );
  });

  it.each([
    ['100.70.1.0/24', 'lies in 100.64.0.0/10', '--gateway-pool'],
    ['10.255.0.0/16', 'lies in 10.255.0.0/16', '--ingress-pool'],
  ])('a machine with a route to %s is refused, and leaves nothing behind', async (...row) => {
    const [network, where, flag] = row;
    const [by] = followers();
    const { rootCa } = await by!.control.getCluster({}, aCall());
    const before = await by!.control.listNodes({ filter: {} }, aCall());
    const { worker } = rootCa.joinTokens;
    const refused = cluster.certificate(by!, worker, ['192.0.2.0/24', network]);
    await expect(refused).rejects.toMatchObject({
      code: 'failed-precondition',
      message: expect.stringMatching(`${network}, which ${where},.*swarm init ${flag}`) as string,
    });
    const after = await by!.control.listNodes({ filter: {} }, aCall());
    expect(after.length).toBe(before.length);
  });

  it('says that there is no leader when the quorum is gone', async () => {
    await cluster.stop(await leader());
    const [last] = cluster.hosts;
    await Promise.all([
      expect(last!.control.createService({ spec: SPEC }, aCall())).rejects.toMatchObject({
        code: 'unavailable',
        message: expect.stringContaining('no leader'),
      }),
      expect(last!.control.listServices({ filter: {} }, aCall())).rejects.toMatchObject({
        code: 'unavailable',
      }),
    ]);
    const states: ReplicaState[] = [];
    const stale = { ...aCall(), stale: true, onState: (state: ReplicaState) => states.push(state) };
    const services = await last!.control.listServices({ filter: {} }, stale);
    expect(services.map((service) => service.spec.name)).toContain('web');
    expect(states).toEqual([
      { index: last!.manager.status().applied, ageMs: expect.any(Number) as number },
    ]);
    expect(states[0]!.ageMs).toBeGreaterThan(0);
  });
});
