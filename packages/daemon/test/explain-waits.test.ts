/**
 * What `explain` says a task waits for is what lets it go on: in simulated clusters, each reason for
 * which a task may not run is brought about, must be told, must hold the task as long as it lasts, and
 * when it goes the task must run.
 */
import { explainService, explainTask } from '@swarmd/client';
import { waitsForNode, type ServiceSpecInput, type Task } from '@swarmd/model';
import { describe, expect, it } from 'vitest';

import { unsettled } from '../../manager/src/testing/simulation/settled.ts';
import { SimWorld } from '../../manager/src/testing/simulation/sim-world.ts';

const MIB = 1024 ** 2;
const NODES = 5;
/** How long a reason must hold. */
const HOLDS_MS = 20_000;
const GOES_MS = 30_000;

interface Case {
  readonly name: string;
  /** Brings it about that a task of `web` waits. */
  readonly make: (cluster: Cluster) => Promise<void>;
  readonly says: RegExp;
  /** Takes away what it says. */
  readonly cure: (cluster: Cluster) => Promise<void>;
}

class Cluster {
  readonly sim: SimWorld;

  constructor(sim: SimWorld) {
    this.sim = sim;
  }

  static async start(): Promise<Cluster> {
    const sim = await SimWorld.create({ seed: 1, nodes: NODES });
    await sim.start();
    const cluster = new Cluster(sim);
    await cluster.must(60_000, () => unsettled(sim).length === 0);
    return cluster;
  }

  until(ms: number, isSo: () => boolean): Promise<boolean> {
    const { sim } = this;
    return sim.run(sim.clock.now() + ms, () => sim.leader() !== undefined && isSo());
  }

  async must(ms: number, isSo: () => boolean): Promise<void> {
    if (!(await this.until(ms, isSo))) throw new Error(`it did not come within ${ms} ms`);
  }

  /** Replicated once unless the spec says otherwise. */
  async create(name: string, spec: Omit<ServiceSpecInput, 'name' | 'task'> & { task?: object }) {
    const task = { container: { image: 'good1' }, ...spec.task };
    this.sim.user(`create ${name}`, ({ control }, call) =>
      control.createService({ spec: { ...spec, name, task } }, call),
    );
    const { view } = this.sim.judge;
    await this.must(5_000, () => view.serviceByName(name) !== undefined);
    // What shall wait does not settle: then it is there all the same.
    await this.until(15_000, () => unsettled(this.sim).length === 0);
  }

  async remove(name: string): Promise<void> {
    const id = this.service(name).id;
    this.sim.user(`remove ${name}`, ({ control }, call) => control.removeService({ id }, call));
    await this.until(5_000, () => this.sim.judge.view.serviceByName(name) === undefined);
  }

  async update(name: string, change: Partial<ServiceSpecInput>): Promise<void> {
    const { id, meta, spec } = this.service(name);
    this.sim.user(`update ${name}`, ({ control }, call) =>
      control.updateService(
        { id, version: meta.version, spec: { ...spec, ...change }, rollback: false },
        call,
      ),
    );
    await this.until(5_000, () => this.service(name).meta.version > meta.version);
  }

  async nodes(
    change: { availability?: 'active' | 'drain' | 'pause'; disk?: string },
    count = NODES,
  ) {
    const { availability, disk } = change;
    for (const { id, meta, spec } of [...this.sim.judge.view.list('node')].slice(-count)) {
      const labels = disk === undefined ? spec.labels : { disk };
      const next = { ...spec, labels, availability: availability ?? spec.availability };
      this.sim.user(`change ${id}`, async ({ control }, call) => {
        await control.updateNode({ id, version: meta.version, spec: next }, call);
      });
    }
    await this.sim.run(this.sim.clock.now() + 1_000);
  }

  service(name: string) {
    const service = this.sim.judge.view.serviceByName(name);
    if (service === undefined) throw new Error(`there is no service ${name}`);
    return service;
  }

  /** Tasks of `web` that should run and do not. */
  waiting(): Task[] {
    return this.web().filter(
      ({ desiredState, status }) =>
        (desiredState === 'running' || desiredState === 'ready') && status.state !== 'running',
    );
  }

  web(): Task[] {
    return [...this.sim.judge.view.tasksByService(this.service('web').id)];
  }

  /** As `swarmctl explain` puts it together. */
  async explain(task: Task): Promise<string> {
    const { view } = this.sim.judge;
    const nodes = [...view.list('node')];
    const node = nodes.find(({ id }) => id === task.nodeId);
    const { control } = this.sim.up()[0]!;
    const call = { signal: new AbortController().signal, local: true, stale: true };
    const placement = waitsForNode(task)
      ? { nodes, verdicts: await control.listNodeVerdicts({ taskId: task.id }, call) }
      : undefined;
    const now = this.sim.clock.now();
    const around = { now, nodes, siblings: this.web() };
    return [
      ...explainTask(task, { ...around, node, placement }),
      ...explainService(this.service('web'), this.web(), around),
    ].join('\n');
  }
}

const web =
  (spec: Parameters<Cluster['create']>[1] = {}) =>
  (cluster: Cluster) =>
    cluster.create('web', spec);
const memory = (mebibytes: number) => ({ reservations: { memoryBytes: mebibytes * MIB } });
const cpus = (count: number) => ({ reservations: { nanoCpus: count * 1e9 } });
const placed = (placement: object) => ({ task: { placement } });
const onEach = { mode: { kind: 'global' } } as const;
const six = { mode: { kind: 'replicated', replicas: NODES + 1 } } as const;
const addNode = async ({ sim }: Cluster): Promise<void> => {
  const joined = sim.addNode();
  await sim.run(sim.clock.now() + 1_000);
  await joined;
};

const CASES: readonly Case[] = [
  {
    name: 'all nodes are drained',
    make: async (cluster) => {
      await cluster.nodes({ availability: 'drain' });
      await web()(cluster);
    },
    says: /refused by .*: drained/,
    cure: (cluster) => cluster.nodes({ availability: 'active' }, 1),
  },
  {
    name: 'all nodes are paused',
    make: async (cluster) => {
      await cluster.nodes({ availability: 'pause' });
      await web()(cluster);
    },
    says: /refused by .*: paused/,
    cure: (cluster) => cluster.nodes({ availability: 'active' }, 1),
  },
  {
    name: 'no node is heard of',
    make: async (cluster) => {
      for (const agent of cluster.sim.agents.values()) agent.cut();
      await cluster.sim.run(cluster.sim.clock.now() + 10_000);
      await web()(cluster);
    },
    says: /refused by .*: not ready/,
    cure: ({ sim }) => {
      for (const agent of sim.agents.values()) agent.heal();
      return sim.run(sim.clock.now() + 5_000).then(() => undefined);
    },
  },
  {
    name: 'another service has the memory',
    make: async (cluster) => {
      await cluster.create('big', { ...onEach, task: memory(900) });
      await web({ task: memory(200) })(cluster);
    },
    says: /refused by .*: insufficient memory/,
    cure: (cluster) => cluster.remove('big'),
  },
  {
    name: 'another service has the processors',
    make: async (cluster) => {
      await cluster.create('big', { ...onEach, task: cpus(3) });
      await web({ task: cpus(2) })(cluster);
    },
    says: /refused by .*: insufficient CPU/,
    cure: (cluster) => cluster.remove('big'),
  },
  {
    name: 'no node has the label',
    make: web(placed({ constraints: ['node.labels.disk==ssd'] })),
    says: /refused by .*: placement constraints not met/,
    cure: (cluster) => cluster.nodes({ disk: 'ssd' }, 1),
  },
  {
    name: 'one on each node is enough',
    make: web({ ...six, ...placed({ maxReplicasPerNode: 1 }) }),
    says: /refused by .*: max replicas per node reached/,
    cure: addNode,
  },
  {
    name: 'its port is taken on every node',
    make: web({
      ...six,
      endpoint: { ports: [{ targetPort: 80, publishedPort: 8080, publishMode: 'host' }] },
    }),
    says: /refused by .*: host-mode port already in use/,
    cure: addNode,
  },
  {
    name: 'the service that it belongs to is not there',
    make: web(placed({ affinities: ['service==cache'] })),
    says: /refused by .*: no task of cache/,
    cure: (cluster) => cluster.create('cache', {}),
  },
  {
    name: 'the service that it must not meet is everywhere',
    make: async (cluster) => {
      await cluster.create('cache', onEach);
      await web(placed({ affinities: ['service!=cache'] }))(cluster);
    },
    says: /refused by .*: a task of cache/,
    cure: (cluster) => cluster.remove('cache'),
  },
  {
    name: 'a service keeps it away',
    make: async (cluster) => {
      await cluster.create('shy', { ...onEach, ...placed({ affinities: ['service!=web'] }) });
      await web()(cluster);
    },
    says: /refused by .*: a task that keeps the service away/,
    cure: (cluster) => cluster.remove('shy'),
  },
  {
    name: 'a service keeps it away, and then bears it',
    make: async (cluster) => {
      await cluster.create('shy', { ...onEach, ...placed({ affinities: ['service!=web'] }) });
      await web()(cluster);
    },
    says: /after: swarmctl service update --affinity-rm 'service!=web' shy/,
    cure: (cluster) => {
      const { task } = cluster.service('shy').spec;
      return cluster.update('shy', {
        task: { ...task, placement: { ...task.placement, affinities: [] } },
      });
    },
  },
  {
    name: 'its network has no free address',
    make: async (cluster) => {
      const task = { networks: [{ target: 'narrow' }] };
      await cluster.create('many', { mode: { kind: 'replicated', replicas: 8 }, task });
      await web({ task, endpoint: { mode: 'dnsrr' } })(cluster);
    },
    says: /waits for a node: no free address on network narrow/,
    cure: (cluster) => cluster.remove('many'),
  },
];

describe('what explain says a task waits for', () => {
  it.each(CASES)(
    '$name',
    async ({ make, says, cure }) => {
      const cluster = await Cluster.start();
      await using _sim = cluster.sim;
      await make(cluster);
      const [task] = cluster.waiting();
      expect(task).toBeDefined();
      expect(await cluster.explain(task!)).toMatch(says);
      const count = cluster.waiting().length;
      expect(await cluster.until(HOLDS_MS, () => cluster.waiting().length !== count)).toBe(false);
      await cure(cluster);
      expect(await cluster.until(GOES_MS, () => cluster.waiting().length < count)).toBe(true);
    },
    60_000,
  );

  it('a restart delay: it says when, and then it runs', async () => {
    const cluster = await Cluster.start();
    await using sim = cluster.sim;
    await web({ task: { restart: { delayMs: 30_000 } } })(cluster);
    const [first] = cluster.web();
    sim.agents.get(first!.nodeId!)?.containers.fail(first!.id);
    const delayed = (): Task | undefined =>
      cluster.waiting().find(({ desiredState }) => desiredState === 'ready');
    expect(await cluster.until(5_000, () => delayed() !== undefined)).toBe(true);
    const next = delayed();
    const said = await cluster.explain(next!);
    const seconds = Number(/it may start in (\d+) s/.exec(said)?.[1]);
    expect(seconds).toBeGreaterThan(20);
    const runs = (): boolean => cluster.waiting().length === 0;
    expect(await cluster.until((seconds - 2) * 1_000, runs)).toBe(false);
    expect(await cluster.until(6_000, runs)).toBe(true);
  }, 60_000);

  it('a predecessor that stops slowly: it names the task, and starts when that has stopped', async () => {
    const cluster = await Cluster.start();
    await using sim = cluster.sim;
    await web({ task: { container: { image: 'good-stubborn' } } })(cluster);
    const [old] = cluster.web();
    await cluster.update('web', { task: { container: { image: 'good2' } } });
    const isStopping = (): boolean =>
      sim.judge.view.get('task', old!.id)?.desiredState === 'shutdown';
    expect(await cluster.until(10_000, isStopping)).toBe(true);
    const next = cluster.waiting().find(({ id }) => id !== old!.id);
    expect(await cluster.explain(next!)).toContain(`it starts when ${old!.id}, which is running`);
    expect(await cluster.until(GOES_MS, () => cluster.waiting().length === 0)).toBe(true);
    expect(sim.judge.view.get('task', old!.id)?.status.state).toBe('shutdown');
  }, 60_000);

  it('room that a less important task makes: it names the task, and takes its place', async () => {
    const cluster = await Cluster.start();
    await using sim = cluster.sim;
    const image = { container: { image: 'good-stubborn' } };
    await cluster.create('low', { ...onEach, task: { ...image, ...memory(900) } });
    const placement = { priority: 5, preempts: true };
    await web({ task: { ...memory(200), placement } })(cluster);
    const reasons = cluster.web().flatMap(({ because }) => because);
    expect(reasons.map(({ message }) => message).join()).toMatch(/waits for room on .* must leave/);
    expect(await cluster.until(GOES_MS, () => cluster.waiting().length === 0)).toBe(true);
    expect(sim.leader()).toBeDefined();
  }, 60_000);

  it('a canary step that waits for approval: it says so, and goes on once approved', async () => {
    const cluster = await Cluster.start();
    await using sim = cluster.sim;
    await web({ mode: { kind: 'replicated', replicas: 4 } })(cluster);
    const canary = [{ tasks: 1, healthMs: 0 }];
    await cluster.update('web', {
      task: { container: { image: 'good2' } },
      update: { canary, monitorMs: 500 },
    });
    const renewed = (): number =>
      cluster
        .web()
        .filter(
          ({ status, spec }) => status.state === 'running' && spec.container.image === 'good2',
        ).length;
    expect(await cluster.until(GOES_MS, () => renewed() === 1)).toBe(true);
    await sim.run(sim.clock.now() + 1_000);
    expect(await cluster.explain(cluster.web()[0]!)).toContain('waits for approval');
    expect(await cluster.until(HOLDS_MS, () => renewed() > 1)).toBe(false);
    const { id, meta } = cluster.service('web');
    sim.judge.userWill('approve', id);
    sim.user('approve', ({ control }, call) =>
      control.updateService(
        { id, version: meta.version, rollback: false, continueUpdate: true },
        call,
      ),
    );
    expect(await cluster.until(GOES_MS, () => renewed() === 4)).toBe(true);
  }, 60_000);
});
