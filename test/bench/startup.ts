/**
 * How fast the cluster acts: create, scale, replace, survive; and what it costs in memory. A lab of 3
 * managers and 2 workers; calls go over the API, moments are taken from the tasks' own processes.
 */
import { readdirSync, readFileSync } from 'node:fs';

import { openCluster, type ClusterClient } from '@swarmd/client';
import { Lab, waitUntil } from '@swarmd/lab';
import type { Service, ServiceId, ServiceSpecInput } from '@swarmd/model';

import { Marks, MARKS_SOURCE } from './marks.ts';
import { memoryOf } from './memory.ts';
import { print, type Figure } from './statistics.ts';

export const STARTUP_PARTS = [
  'memory',
  'create',
  'scale',
  'replace',
  'standby',
  'worker',
  'leader',
];

export interface StartupOptions {
  readonly runs: number;
  readonly slowRuns: number;
  readonly keep: boolean;
  readonly parts: readonly string[];
}

const WAIT_MS = 60_000;
const SETTLE_MS = 300;
const MANAGERS = ['m1', 'm2', 'm3'];

const call = (): { signal: AbortSignal; timeoutMs: number } => ({
  signal: AbortSignal.timeout(WAIT_MS),
  timeoutMs: WAIT_MS,
});
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const emit = (figure: Figure): number => print('startup', figure);

class Bench {
  readonly lab: Lab;
  readonly marks: Marks;
  #via = 'm1';
  #client: (ClusterClient & Disposable) | undefined;
  #sequence = 0;

  constructor(lab: Lab) {
    this.lab = lab;
    this.marks = new Marks(lab);
  }

  name(prefix: string): string {
    return `${prefix}${(this.#sequence += 1)}`;
  }

  /** The control API of the manager that is asked. */
  get client(): ClusterClient {
    this.#client ??= openCluster(
      `/proc/${this.lab.host(this.#via).initPid}/root/run/swarmd/control.sock`,
    );
    return this.#client;
  }

  /** Asks another manager from now on. */
  ask(host: string): void {
    this.#client?.[Symbol.dispose]();
    this.#client = undefined;
    this.#via = host;
  }

  spec(name: string, replicas: number, standby = 0): ServiceSpecInput {
    // The shell's own words only: another program would be started before the mark.
    const line = `read -r id < /proc/sys/kernel/random/uuid; : > /m/${name}.$id; exec sleep 100000`;
    return {
      name,
      mode: { kind: 'replicated', replicas },
      standby,
      task: {
        container: {
          image: `${this.lab.layout.registryEndpoint}/busybox:1`,
          args: ['sh', '-c', line],
          stopSignal: 'SIGKILL',
          mounts: [{ kind: 'bind', source: MARKS_SOURCE, target: '/m' }],
        },
        restart: { delayMs: 0 },
      },
    };
  }

  create(name: string, replicas: number, standby = 0): Promise<Service> {
    const spec = this.spec(name, replicas, standby);
    return this.client.control.createService({ spec }, call());
  }

  async scale(id: ServiceId, replicas: number): Promise<number> {
    const service = await this.client.control.getService({ id }, call());
    const start = performance.now();
    await this.client.control.updateService(
      {
        id,
        version: service.meta.version,
        spec: { ...service.spec, mode: { kind: 'replicated', replicas } },
        rollback: false,
      },
      call(),
    );
    return start;
  }

  /** Removes all services and waits until no task is left. */
  async clean(): Promise<void> {
    for (const service of await this.client.control.listServices({ filter: {} }, call())) {
      await this.client.control.removeService({ id: service.id }, call());
    }
    await waitUntil({ what: 'all tasks to be gone', timeoutMs: WAIT_MS }, async () =>
      (await this.client.control.listTasks({ filter: {} }, call())).length === 0 ? true : undefined,
    );
    await pause(SETTLE_MS);
  }

  async leader(): Promise<string> {
    return waitUntil({ what: 'a leader', timeoutMs: WAIT_MS }, async () => {
      const status = await this.client.membership.status({}, call());
      const address = status.members
        .find((member) => member.raftId === status.leader)
        ?.address.split(':')[0];
      return this.lab.nodes.find((host) => host.place.address === address)?.name;
    });
  }

  async heal(host: string): Promise<void> {
    await this.lab.heal(host);
    await this.lab.cluster.allReady(this.lab.host(MANAGERS.find((name) => name !== host) ?? 'm1'));
    await pause(SETTLE_MS);
  }
}

export async function benchStartup(options: StartupOptions): Promise<Map<string, number>> {
  const lab = new Lab({ name: 'bench', managers: 3, workers: 2 });
  await lab.down();
  const medians = new Map<string, number>();
  try {
    await lab.up();
    const bench = new Bench(lab);
    using _marks = bench.marks;
    await pause(5000); // young and settled, as an idle host is
    if (options.parts.includes('memory')) idleMemory(bench);
    await warmUp(bench);
    const { runs, slowRuns } = options;
    const measures: Readonly<Record<string, () => Promise<number>>> = {
      create: () => createOne(bench, runs),
      scale: () => scaleUp(bench, slowRuns),
      replace: () => replaceKilled(bench, runs, 0),
      standby: () => replaceKilled(bench, runs, 1),
      worker: () => loseWorker(bench, slowRuns),
      leader: () => killLeader(bench, slowRuns),
    };
    for (const [part, measure] of Object.entries(measures)) {
      if (options.parts.includes(part)) medians.set(part, await measure());
    }
  } finally {
    if (!options.keep) await lab.down();
  }
  return medians;
}

/** The image is on every host, every code path has run once. */
async function warmUp(bench: Bench): Promise<void> {
  const name = bench.name('warm');
  await bench.create(name, 25);
  await bench.marks.wait(name, { count: 25, timeoutMs: WAIT_MS });
  await bench.clean();
  await pause(2000);
}

function idleMemory(bench: Bench): void {
  const swarmd = (line: string): boolean => line.includes('swarmd') && line.includes('node');
  for (const [role, hosts, target] of [
    ['manager', MANAGERS, 130],
    ['worker', ['w1', 'w2'], 80],
  ] as const) {
    const found = hosts.map((host) => memoryOf(bench.lab.host(host), swarmd));
    emit({
      metric: `idle_${role}_resident`,
      unit: 'MiB',
      values: found.map((memory) => memory.resident),
      target,
      processes: found[0]?.processes,
      note: 'private memory of all processes, and the file pages they share once',
    });
    emit({
      metric: `idle_${role}_rss_sum`,
      unit: 'MiB',
      values: found.map((memory) => memory.rss),
    });
    emit({ metric: `idle_${role}_pss`, unit: 'MiB', values: found.map((memory) => memory.pss) });
  }
}

async function createOne(bench: Bench, runs: number): Promise<number> {
  const values: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    const name = bench.name('create');
    const seen = bench.marks.wait(name, { count: 1, timeoutMs: WAIT_MS });
    const start = performance.now();
    await bench.create(name, 1);
    values.push((await seen) - start);
    await pause(SETTLE_MS);
  }
  await bench.clean();
  return emit({ metric: 'create_to_running', unit: 'ms', values, target: 150 });
}

async function scaleUp(bench: Bench, runs: number): Promise<number> {
  const values: number[] = [];
  const perTask: number[] = [];
  const engine = (line: string): boolean => line.includes('conmon') || line.includes('swarmd');
  const total = (): number =>
    bench.lab.nodes.reduce((sum, host) => sum + memoryOf(host, engine).pss, 0);
  for (let run = 0; run < runs; run += 1) {
    const name = bench.name('scale');
    const service = await bench.create(name, 3);
    await bench.marks.wait(name, { count: 3, timeoutMs: WAIT_MS });
    await pause(SETTLE_MS);
    const before = total();
    const start = await bench.scale(service.id, 50);
    values.push((await bench.marks.wait(name, { count: 50, timeoutMs: WAIT_MS })) - start);
    await pause(3 * SETTLE_MS);
    perTask.push((total() - before) / 47);
    await bench.clean();
  }
  emit({
    metric: 'memory_per_task_pss',
    unit: 'MiB',
    values: perTask,
    target: 1,
    note: 'monitors and growth of swarmd; the application itself is not in it',
  });
  return emit({ metric: 'scale_3_to_50', unit: 'ms', values, target: 2000 });
}

/** @param standby how many tasks stand prepared: with one, it takes over. */
async function replaceKilled(bench: Bench, runs: number, standby: number): Promise<number> {
  const values: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    const name = bench.name('replace');
    await bench.create(name, 1, standby);
    await bench.marks.wait(name, { count: 1, timeoutMs: WAIT_MS });
    const task = await waitUntil({ what: 'all its tasks', timeoutMs: WAIT_MS }, async () => {
      const tasks = await bench.client.control.listTasks({ filter: {} }, call());
      const ready = tasks.filter(({ status }) => status.state === 'ready');
      const running = tasks.find(({ status }) => status.state === 'running');
      return ready.length === standby ? running : undefined;
    });
    await pause(2 * SETTLE_MS);
    const node = await bench.client.control.listNodes(
      { filter: { ids: [task.nodeId ?? ''] } },
      call(),
    );
    const host = bench.lab.nodes.find(
      (candidate) => candidate.place.address === node[0]?.status.address,
    );
    const pid = outerPid(host?.initPid ?? 0, task.status.pid ?? 0);
    const start = performance.now();
    process.kill(pid, 'SIGKILL');
    values.push((await bench.marks.wait(name, { count: 2, timeoutMs: WAIT_MS })) - start);
    await bench.clean();
  }
  return standby > 0
    ? emit({ metric: 'killed_to_standby', unit: 'ms', values, target: 20 })
    : emit({ metric: 'killed_to_replacement', unit: 'ms', values, target: 150 });
}

/** This machine's pid of a process that has `inner` as its pid on the host whose PID 1 is `init`. */
function outerPid(init: number, inner: number): number {
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    let status: string;
    try {
      status = readFileSync(`/proc/${pid}/status`, 'utf8');
    } catch {
      continue; // it has just ended
    }
    const pids = /^NSpid:\s+(.*)$/m.exec(status)?.[1]?.split(/\s+/).map(Number) ?? [];
    if (pids.length >= 3 && pids[1] === inner && isBelow(Number(pid), init)) return Number(pid);
  }
  throw new Error(`no process has pid ${inner} on that host`);
}

function isBelow(pid: number, ancestor: number): boolean {
  for (let at = pid; at > 1;) {
    if (at === ancestor) return true;
    at = Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${at}/status`, 'utf8'))?.[1] ?? 0);
  }
  return false;
}

async function loseWorker(bench: Bench, runs: number): Promise<number> {
  const first: number[] = [];
  const all: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    const name = bench.name('worker');
    await bench.create(name, 10);
    await bench.marks.wait(name, { count: 10, timeoutMs: WAIT_MS });
    await pause(2 * SETTLE_MS);
    const victim = run % 2 === 0 ? 'w1' : 'w2';
    const known = new Set(bench.marks.list(name).map((mark) => mark.file));
    const lost = bench.marks.list(name).filter((mark) => mark.host === victim).length;
    const fits = (mark: { host: string; file: string }): boolean =>
      !known.has(mark.file) && mark.host !== victim;
    const start = performance.now();
    const off = bench.lab.kill(victim);
    first.push((await bench.marks.wait(name, { count: 1, timeoutMs: WAIT_MS, fits })) - start);
    all.push((await bench.marks.wait(name, { count: lost, timeoutMs: WAIT_MS, fits })) - start);
    await off;
    await bench.heal(victim);
    await bench.clean();
  }
  emit({ metric: 'worker_lost_to_first_replacement', unit: 'ms', values: first });
  return emit({ metric: 'worker_lost_to_all_replaced', unit: 'ms', values: all, target: 4000 });
}

async function killLeader(bench: Bench, runs: number): Promise<number> {
  const values: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    const victim = await bench.leader();
    bench.ask(MANAGERS.find((name) => name !== victim) ?? 'm1');
    await bench.client.control.listNodes({ filter: {} }, call());
    const start = performance.now();
    const off = bench.lab.kill(victim);
    values.push((await firstWrite(bench)) - start);
    await off;
    await bench.heal(victim);
  }
  return emit({ metric: 'leader_killed_to_next_write', unit: 'ms', values, target: 2500 });
}

/** Tries to write until a write is accepted; gives the moment of its acknowledgement. */
async function firstWrite(bench: Bench): Promise<number> {
  const end = performance.now() + WAIT_MS;
  while (performance.now() < end) {
    try {
      const name = bench.name('write');
      const signal = AbortSignal.timeout(WAIT_MS);
      const made = await bench.client.control.createConfig(
        { spec: { name, labels: {}, data: Buffer.from(name) } },
        { signal, timeoutMs: 500 },
      );
      const at = performance.now();
      await bench.client.control.removeConfig({ id: made.id }, call());
      return at;
    } catch {
      await pause(10); // no leader yet
    }
  }
  throw new Error('no write was accepted');
}
