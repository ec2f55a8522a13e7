/** Three real managers on loopback: forwarding, sessions at any of them, loss of the leader. */
import type { Service, Task } from '@swarmd/model';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { until } from './support/condition.ts';
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
    const running = tasks.filter((task) => task.status.state === 'running');
    return running.length === count && running;
  });
}

describe('three managers', () => {
  let cluster: TestCluster;
  beforeEach(async () => {
    cluster = new TestCluster();
    const first = await cluster.init();
    await cluster.join(first);
    await cluster.join(first);
    await until('all are voters', () => {
      const { members } = first.manager.status();
      return members.length === 3 && members.every((member) => member.role === 'voter');
    });
  }, 60_000);
  afterEach(() => cluster[Symbol.asyncDispose]());

  const followers = (): Host[] => cluster.hosts.filter((host) => !isLeader(host));
  const leader = (): Host => cluster.hosts.find(isLeader)!;

  it('a follower passes writes on and reads its own write', async () => {
    const [follower] = followers();
    const service = await follower!.control.createService({ spec: SPEC }, aCall());
    for (const host of cluster.hosts) {
      expect(await host.control.getService({ id: service.id }, aCall())).toEqual(service);
    }
    await expect(follower!.control.createService({ spec: SPEC }, aCall())).rejects.toMatchObject({
      code: 'already-exists',
    });
  });

  it('an agent at a follower gets its tasks, also with a certificate from there', async () => {
    const [follower] = followers();
    const agent = await cluster.worker(follower!);
    const service = await follower!.control.createService({ spec: SPEC }, aCall());
    await runningTasks(follower!, service, 3);
    expect(agent.tasks.size).toBe(3);
    await until('it knows all managers', () => agent.managers.length === 3);
  });

  it('goes on when the leader is gone, and no node is disturbed', async () => {
    const lost = leader();
    const agents = await Promise.all(cluster.hosts.map((host) => cluster.worker(host)));
    const service = await lost.control.createService({ spec: SPEC }, aCall());
    const before = await runningTasks(lost, service, 3);
    await lost.manager[Symbol.asyncDispose]();
    const left = cluster.hosts.filter((host) => host !== lost);
    await until('another one leads', () => left.some(isLeader));
    const second = await left[0]!.control.createService(
      { spec: { ...SPEC, name: 'more' } },
      aCall(),
    );
    await runningTasks(left[1]!, second, 3);
    const after = await runningTasks(left[1]!, service, 3);
    expect(after.map((task) => task.id).sort()).toEqual(before.map((task) => task.id).sort());
    await until('the lost manager’s agent is back', () =>
      agents.every((agent) => agent.sessions > 0),
    );
    const nodes = await left[0]!.control.listNodes({ filter: {} }, aCall());
    for (const agent of agents) {
      expect(nodes.find((node) => node.id === agent.nodeId)?.status.state).toBe('ready');
    }
  });

  it('says that there is no leader when the quorum is gone', async () => {
    const [one, two, three] = cluster.hosts;
    await one!.manager[Symbol.asyncDispose]();
    await two!.manager[Symbol.asyncDispose]();
    await expect(three!.control.createService({ spec: SPEC }, aCall())).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('no leader'),
    });
    await expect(three!.control.listServices({ filter: {} }, aCall())).rejects.toMatchObject({
      code: 'unavailable',
    });
  });

  it('a manager that was stopped catches up from its disk', async () => {
    const [follower] = followers();
    const rest = cluster.hosts.filter((host) => host !== follower);
    await follower!.manager[Symbol.asyncDispose]();
    const service = await rest[0]!.control.createService({ spec: SPEC }, aCall());
    const again = await cluster.restart(follower!);
    expect(await again.control.getService({ id: service.id }, aCall())).toEqual(service);
  });
});
