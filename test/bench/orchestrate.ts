/**
 * Orchestration at scale: thousands of nodes, a hundred thousand tasks of five hundred services,
 * through real Raft with real logs. Nodes are simulated: they are attached to the managers' dispatcher
 * without a network between, prepare and start their tasks at once, and report both.
 */
import type { ScaleCluster as Cluster } from './scale-cluster.ts';
import { call, ScaleCluster, type ScaleManager } from './scale-cluster.ts';
import { print, quantile, type Figure } from './statistics.ts';

export interface OrchestrateOptions {
  readonly nodes: number;
  readonly tasks: number;
  readonly services: number;
  /** One run each with so many managers. */
  readonly managers: readonly number[];
  /** How long the idle cluster is watched. */
  readonly idleMs: number;
}

const DEADLINE_MS = 600_000;
const LOOK_MS = 50;
const WRITE_EVERY_MS = 50;
const CREATES_AT_ONCE = 8;
const SINGLE_RUNS = 10;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const clock = (): number => performance.timeOrigin + performance.now();

export async function benchOrchestrate(options: OrchestrateOptions): Promise<void> {
  for (const managers of options.managers) await run(options, managers);
}

async function run(options: OrchestrateOptions, managers: number): Promise<void> {
  const { nodes, tasks, services } = options;
  const emit = (figure: Figure): number =>
    print('orchestrate', { ...figure, managers, nodes, tasks, services });
  await using cluster = await ScaleCluster.start(managers);
  await populate(cluster, nodes);
  await place(cluster, options, emit);
  const { leader } = cluster;
  emit({
    metric: 'leader-rss',
    unit: 'MiB',
    values: [(await leader.figures()).rssMiB],
    target: 1536,
  });
  await singleChange(leader, cluster, emit);
  await idle(cluster, options.idleMs, emit);
}

async function populate(cluster: Cluster, nodes: number): Promise<void> {
  await cluster.leader.ask({ kind: 'nodes', count: nodes });
  const share = Math.ceil(nodes / cluster.managers.length);
  for (const [at, manager] of cluster.managers.entries()) {
    const to = Math.min(nodes, (at + 1) * share);
    await until(`${nodes} nodes known`, async () => (await manager.figures()).committedAt > 0);
    await manager.ask({ kind: 'agents', from: at * share, to });
    await until(
      'agents connected',
      async () => (await manager.figures()).connected === to - at * share,
    );
  }
  await until('nodes ready', async () => {
    const listed = await cluster.leader.client.control.listNodes({ filter: {} }, call());
    return listed.filter((node) => node.status.state === 'ready').length >= nodes;
  });
}

async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const end = clock() + DEADLINE_MS;
  while (!(await isSo())) {
    if (clock() > end) throw new Error(`waited too long: ${what}`);
    await pause(LOOK_MS);
  }
}

/** Every service is created at once; meanwhile somebody else writes a little all the time. */
async function place(
  cluster: Cluster,
  { tasks, services }: OrchestrateOptions,
  emit: (figure: Figure) => number,
): Promise<void> {
  const { leader } = cluster;
  const before = await leader.figures();
  const writer = new Writer(leader);
  const replicas = Math.floor(tasks / services);
  const begin = clock();
  let next = 0;
  const creator = async (): Promise<void> => {
    while (next < services) {
      const name = `s${(next += 1)}`;
      await leader.client.control.createService({ spec: spec(name, replicas) }, call());
    }
  };
  await Promise.all(Array.from({ length: CREATES_AT_ONCE }, creator));
  const total = replicas * services;
  let longestStallMs = 0;
  let placedAt = 0;
  await until('all tasks placed', async () => {
    const figures = await leader.figures();
    longestStallMs = Math.max(longestStallMs, figures.longestStallMs);
    placedAt = figures.placedAt;
    return figures.placed >= total;
  });
  await until('all tasks running', async () => {
    const figures = await leader.figures();
    longestStallMs = Math.max(longestStallMs, figures.longestStallMs);
    return figures.running >= total;
  });
  const end = clock();
  const { cpuMs } = await leader.figures();
  const latencies = await writer.stop();
  emit({
    metric: 'tasks-placed-per-second',
    unit: '1/s',
    values: [(total * 1_000) / (placedAt - begin)],
    floor: 10_000,
  });
  // Says what the machine was asked for, however busy it was with other things.
  emit({
    metric: 'leader-cpu-per-task',
    unit: 'us',
    values: [((cpuMs - before.cpuMs) * 1_000) / total],
  });
  emit({ metric: 'all-running', unit: 's', values: [(end - begin) / 1_000] });
  emit({
    metric: 'write-p99-meanwhile',
    unit: 'ms',
    values: [quantile(latencies, 0.99)],
    target: 200,
  });
  emit({ metric: 'longest-stall', unit: 'ms', values: [longestStallMs], target: 50 });
}

function spec(name: string, replicas: number) {
  return {
    name,
    mode: { kind: 'replicated', replicas } as const,
    task: { container: { image: 'registry.example/app:1', env: ['A=1', 'B=2'] } },
  };
}

/** Writes a label of the cluster again and again, and notes how long each write took. */
class Writer {
  readonly #latencies: number[] = [];
  readonly #running: Promise<void>;
  #isOver = false;

  constructor(manager: ScaleManager) {
    this.#running = this.#run(manager);
  }

  async stop(): Promise<number[]> {
    this.#isOver = true;
    await this.#running;
    return this.#latencies;
  }

  async #run({ client: { control } }: ScaleManager): Promise<void> {
    for (let at = 0; !this.#isOver; at += 1) {
      const data = new TextEncoder().encode(`${at}`);
      const begin = clock();
      await control.createConfig({ spec: { name: `c${at}`, labels: {}, data } }, call());
      this.#latencies.push(clock() - begin);
      await pause(WRITE_EVERY_MS);
    }
  }
}

/** Scales one service by one: until the agent of the new task has been sent it. */
async function singleChange(
  leader: ScaleManager,
  cluster: Cluster,
  emit: (figure: Figure) => number,
): Promise<void> {
  const { control } = leader.client;
  const values: number[] = [];
  for (let run = 0; run < SINGLE_RUNS; run += 1) {
    const [service] = await control.listServices({ filter: { names: [`s${run + 1}`] } }, call());
    if (service === undefined) throw new Error(`no service s${run + 1}`);
    const { id, meta } = service;
    const { mode } = service.spec;
    const replicas = (mode.kind === 'replicated' ? mode.replicas : 0) + 1;
    await pause(200);
    const begin = clock();
    await control.updateService(
      {
        id,
        version: meta.version,
        spec: { ...service.spec, mode: { kind: 'replicated', replicas } },
        rollback: false,
      },
      call(),
    );
    let sentAt = 0;
    await until('the new task was sent', async () => {
      const all = await Promise.all(cluster.managers.map((manager) => manager.figures()));
      sentAt = Math.max(...all.map((figures) => figures.sentAt));
      return sentAt > begin;
    });
    values.push(sentAt - begin);
  }
  emit({ metric: 'one-more-task-sent', unit: 'ms', values, target: 50 });
}

async function idle(
  cluster: Cluster,
  idleMs: number,
  emit: (figure: Figure) => number,
): Promise<void> {
  await pause(2_000);
  const before = await cluster.leader.figures();
  const begin = clock();
  await pause(idleMs);
  const after = await cluster.leader.figures();
  const share = ((after.cpuMs - before.cpuMs) / (clock() - begin)) * 100;
  emit({ metric: 'idle-cpu', unit: '% of a core', values: [share], target: 10 });
  emit({ metric: 'idle-longest-stall', unit: 'ms', values: [after.longestStallMs], target: 50 });
}
