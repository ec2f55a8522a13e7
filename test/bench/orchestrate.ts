/**
 * Orchestration at scale: thousands of nodes, a hundred thousand tasks of five hundred services,
 * through real Raft with real logs. Nodes are simulated, all in one process of their own: they prepare
 * and start their tasks at once, and report both. Their sessions are the managers' own, with messages
 * encoded as on the wire, over one local socket without HTTP/2 and TLS.
 */
import { errorCode } from '@swarmd/base';

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
const SAY_EVERY_MS = 5_000;
const WRITE_EVERY_MS = 50;
const CREATES_AT_ONCE = 8;
const CREATE_ATTEMPTS_MAX = 5;
const SINGLE_RUNS = 20;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const clock = (): number => performance.timeOrigin + performance.now();

type Emit = (figure: Figure) => number;

export async function benchOrchestrate(options: OrchestrateOptions): Promise<void> {
  for (const managers of options.managers) await run(options, managers);
}

async function run(options: OrchestrateOptions, managers: number): Promise<void> {
  const { nodes, tasks, services } = options;
  const emit: Emit = (figure) =>
    print('orchestrate', { ...figure, managers, nodes, tasks, services });
  await using cluster = await ScaleCluster.start(managers);
  await populate(cluster, nodes, emit);
  await place(cluster, options, emit);
  const { rssMiB } = await cluster.leader.figures();
  emit({ metric: 'leader-rss', unit: 'MiB', values: [rssMiB], target: 1536 });
  await singleChange(cluster, emit);
  await idle(cluster, options.idleMs, emit);
}

async function populate(cluster: ScaleCluster, nodes: number, emit: Emit): Promise<void> {
  await cluster.leader.ask({ kind: 'nodes', count: nodes });
  const before = await cluster.leader.figures();
  const begin = clock();
  const share = Math.ceil(nodes / cluster.managers.length);
  for (const [at, manager] of cluster.managers.entries()) {
    await cluster.agents.add(manager, at * share, Math.min(nodes, (at + 1) * share));
  }
  await until('agents connected', async () => {
    const { connected } = await cluster.agents.figures();
    return { done: connected, of: nodes };
  });
  await until('nodes ready', async () => {
    const { ready } = await cluster.leader.figures();
    return { done: ready, of: nodes };
  });
  emit({ metric: 'all-nodes-ready', unit: 's', values: [(clock() - begin) / 1_000] });
  const { cpuMs } = await cluster.leader.figures();
  emit({
    metric: 'leader-cpu-per-node',
    unit: 'us',
    values: [((cpuMs - before.cpuMs) * 1_000) / nodes],
  });
}

/** Says on the way how far it is. */
async function until(
  what: string,
  look: () => Promise<{ done: number; of: number; besides?: string }>,
): Promise<void> {
  const end = clock() + DEADLINE_MS;
  let sayAt = clock() + SAY_EVERY_MS;
  for (;;) {
    const { done, of, besides = '' } = await look();
    if (done >= of) return;
    if (clock() > end) throw new Error(`waited too long: ${what}: ${done} of ${of}`);
    if (clock() > sayAt) {
      process.stderr.write(`${what}: ${done} of ${of}${besides}\n`);
      sayAt += SAY_EVERY_MS;
    }
    await pause(LOOK_MS);
  }
}

/** Every service is created at once; meanwhile somebody else writes a little all the time. */
async function place(
  cluster: ScaleCluster,
  { tasks, services }: OrchestrateOptions,
  emit: Emit,
): Promise<void> {
  const { leader, agents } = cluster;
  const before = await leader.figures();
  const agentsBefore = await agents.figures();
  const othersBefore = await cpuOfOthers(cluster);
  const writer = new Writer(leader);
  const total = Math.floor(tasks / services) * services;
  const begin = clock();
  await createAll(leader, services, total / services);
  const stall = { wall: 0, cpu: 0 };
  let placedAt = 0;
  const look = async (): Promise<Awaited<ReturnType<ScaleManager['figures']>>> => {
    const figures = await leader.figures();
    stall.wall = Math.max(stall.wall, figures.stallMs);
    stall.cpu = Math.max(stall.cpu, figures.stallCpuMs);
    placedAt = figures.placedAt;
    return figures;
  };
  await until('tasks placed', async () => {
    const { placed: done, ready } = await look();
    return { done, of: total, besides: `, ${ready} nodes are ready` };
  });
  await until('tasks running', async () => {
    const { running: done, ready } = await look();
    return { done, of: total, besides: `, ${ready} nodes are ready` };
  });
  const end = clock();
  const after = await leader.figures();
  const agentsAfter = await agents.figures();
  const othersMs = (await cpuOfOthers(cluster)) - othersBefore;
  const latencies = await writer.stop();
  const perTask = (ms: number): number[] => [(ms * 1_000) / total];
  emit({
    metric: 'tasks-placed-per-second',
    unit: '1/s',
    values: [(total * 1_000) / (placedAt - begin)],
    floor: 10_000,
  });
  // These say what the machine was asked for, however busy it was with other things.
  emit({
    metric: 'leader-cpu-per-task',
    unit: 'us',
    values: perTask(after.cpuMs - before.cpuMs),
    mainThread: perTask(after.mainCpuMs - before.mainCpuMs)[0],
    otherManagers: perTask(othersMs)[0],
  });
  emit({
    metric: 'simulated-nodes-cpu-per-task',
    unit: 'us',
    values: perTask(agentsAfter.cpuMs - agentsBefore.cpuMs),
  });
  emit({ metric: 'all-running', unit: 's', values: [(end - begin) / 1_000] });
  emit({
    metric: 'write-p99-meanwhile',
    unit: 'ms',
    values: [quantile(latencies, 0.99)],
    target: 200,
    median: quantile(latencies, 0.5),
    writes: latencies.length,
    failed: writer.failed,
  });
  emit({ metric: 'longest-stall', unit: 'ms', values: [stall.wall], target: 50, cpu: stall.cpu });
}

/** Milliseconds, of all managers but the leader together. */
async function cpuOfOthers({ managers, leader }: ScaleCluster): Promise<number> {
  let cpuMs = 0;
  for (const one of managers) if (one !== leader) cpuMs += (await one.figures()).cpuMs;
  return cpuMs;
}

async function createAll(leader: ScaleManager, services: number, replicas: number): Promise<void> {
  let next = 0;
  const creator = async (): Promise<void> => {
    while (next < services) {
      const name = `s${(next += 1)}`;
      await createOne(leader, spec(name, replicas));
    }
  };
  await Promise.all(Array.from({ length: CREATES_AT_ONCE }, creator));
}

/** As a user would: again, when no answer comes. */
async function createOne(leader: ScaleManager, wanted: ReturnType<typeof spec>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await leader.client.control.createService({ spec: wanted }, call());
      return;
    } catch (error) {
      const code = errorCode(error);
      if (code === 'already-exists' && attempt > 1) return;
      if (attempt === CREATE_ATTEMPTS_MAX) throw error;
      process.stderr.write(`create ${wanted.name}: ${code}; again\n`);
    }
  }
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
  failed = 0;
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
      try {
        await control.createConfig({ spec: { name: `c${at}`, labels: {}, data } }, call());
      } catch {
        // It took as long as it took, and is shown as a failure besides.
        this.failed += 1;
      }
      this.#latencies.push(clock() - begin);
      await pause(WRITE_EVERY_MS);
    }
  }
}

/** Scales one service by one: from the request to the agent that hears of the new task. */
async function singleChange({ leader, agents }: ScaleCluster, emit: Emit): Promise<void> {
  const { control } = leader.client;
  const values: number[] = [];
  for (let run = 0; run < SINGLE_RUNS; run += 1) {
    const [service] = await control.listServices({ filter: { names: [`s${run + 1}`] } }, call());
    if (service === undefined) throw new Error(`no service s${run + 1}`);
    const { id, meta } = service;
    const { mode } = service.spec;
    const replicas = (mode.kind === 'replicated' ? mode.replicas : 0) + 1;
    await pause(200);
    const { sent } = await agents.figures();
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
    await until('the new task sent', async () => ({
      done: (await agents.figures()).sent,
      of: sent + 1,
    }));
    values.push((await agents.figures()).sentAt - begin);
  }
  emit({ metric: 'one-more-task-sent', unit: 'ms', values, target: 50 });
}

async function idle({ leader, agents }: ScaleCluster, idleMs: number, emit: Emit): Promise<void> {
  await pause(2_000);
  const before = await leader.figures();
  const agentsBefore = await agents.figures();
  const begin = clock();
  await pause(idleMs);
  const after = await leader.figures();
  const agentsAfter = await agents.figures();
  const share = (ms: number): number => (ms / (clock() - begin)) * 100;
  emit({
    metric: 'idle-cpu',
    unit: '% of a core',
    values: [share(after.cpuMs - before.cpuMs)],
    target: 10,
    mainThread: share(after.mainCpuMs - before.mainCpuMs),
    simulatedNodes: share(agentsAfter.cpuMs - agentsBefore.cpuMs),
  });
  emit({
    metric: 'idle-longest-stall',
    unit: 'ms',
    values: [after.stallMs],
    target: 50,
    cpu: after.stallCpuMs,
  });
}
