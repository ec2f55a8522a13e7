/**
 * npm run bench -- executor: containers and images on this machine, without managers or networks. Runs
 * itself again in a mount namespace of its own, as the executor's tests do; everything goes with it.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';

import { sleep, workThrough } from '@swarmd/base';
import { run, systemClock } from '@swarmd/base/system';
import type { Executor } from '@swarmd/executor';

import {
  entering,
  isInside,
  PrivateMachine,
} from '../../packages/executor/test/fixtures/private-machine.ts';
import { benchPull } from './executor-pull.ts';
import { enteringCgroup2, isCgroup2View, pretendControllers } from './cgroup2-view.ts';
import { CpuMeter } from './cpu-meter.ts';
import { Crun } from './crun.ts';
import { Docker } from './docker.ts';
import { benchAgent } from './executor-agent.ts';
import { besideDocker, print, quantile } from './statistics.ts';

export const EXECUTOR_PARTS = [
  'agent',
  'start',
  'start-v2',
  'crun',
  'burst',
  'memory',
  'restart',
  'idle',
  'pull',
];
/** Beside Docker, where its daemon is in the PATH. */
const COMPARED = ['start', 'burst', 'pull'];
const BURST = 50;
const IDLE = 20;
/** At once while many are made that are not what is measured. */
const WIDTH = 10;
const SECOND_MS = 1_000;
/** Some rounds of everything that happens every few seconds. */
const IDLE_LOOK_MS = 20_000;

const IDLE_COMMAND = ['/bin/sleep', '100000'] as const;

interface DockersTurn {
  readonly runMs: number;
  readonly endMs: number;
  readonly cpuMs: number;
}

export interface ExecutorBenchOptions {
  readonly runs: number;
  /** How many a restarted agent finds. */
  readonly containers: number;
  readonly parts: readonly string[];
}

export async function benchExecutor(options: ExecutorBenchOptions): Promise<void> {
  if (!isInside && options.parts.includes('agent')) await benchAgent(options.containers);
  if (options.parts.every((part) => part === 'agent')) return;
  if (!isInside && options.parts.includes('start-v2')) await benchVersion2(options.runs);
  if (options.parts.every((part) => ['agent', 'start-v2'].includes(part)) && !isInside) return;
  if (!isInside) {
    const { argv, env } = entering([process.execPath, ...process.argv.slice(1)]);
    // Docker beside us must not come near the machine's network.
    const child = spawn('unshare', ['--net', ...argv], { env, stdio: 'inherit' });
    const [code] = (await once(child, 'exit')) as [number | null];
    process.exitCode = code ?? 1;
    return;
  }
  await run('ip', ['link', 'set', 'lo', 'up']);
  const isCompared = options.parts.some((part) => COMPARED.includes(part));
  await using docker = isCompared ? await Docker.start() : undefined;
  if (options.parts.includes('pull')) await benchPull(Math.min(5, options.runs), docker);
  if (options.parts.every((part) => ['agent', 'pull'].includes(part))) return;
  using cpu = CpuMeter.open('executor');
  await using machine = await PrivateMachine.make();
  await machine.runOnMemory();
  const bench = new ExecutorBench(machine, { cpu, docker });
  if (isCgroup2View) await pretendControllers(machine.cgroupParent);
  await bench.open();
  if (isCgroup2View || options.parts.includes('start')) await bench.oneByOne(options.runs);
  if (options.parts.includes('crun')) await bench.besideCrun(options.runs);
  if (options.parts.includes('burst')) await bench.burst(Math.ceil(options.runs / 5));
  if (options.parts.includes('memory')) await bench.memory();
  const many = options.parts.filter((part) => part === 'restart' || part === 'idle');
  if (many.length > 0) await bench.many(options.containers, many);
}

/** `start` once more, where cgroups are version 2. */
async function benchVersion2(runs: number): Promise<void> {
  const main = process.argv.slice(1, 2);
  const command = [
    process.execPath,
    ...main,
    'executor',
    '--part',
    'start-v2',
    '--runs',
    `${runs}`,
  ];
  using view = await enteringCgroup2(command);
  const [program, ...args] = view.argv;
  const child = spawn(program, args, { env: view.env, stdio: 'inherit' });
  const [code] = (await once(child, 'exit')) as [number | null];
  process.exitCode = code ?? 1;
}

const signal = (): AbortSignal => AbortSignal.timeout(120 * SECOND_MS);

class ExecutorBench {
  readonly #machine: PrivateMachine;
  readonly #cpu: CpuMeter;
  readonly #docker: Docker | undefined;
  #executor: (Executor & AsyncDisposable) | undefined;

  constructor(machine: PrivateMachine, beside: { cpu: CpuMeter; docker: Docker | undefined }) {
    this.#machine = machine;
    this.#cpu = beside.cpu;
    this.#docker = beside.docker;
  }

  async open(): Promise<void> {
    this.#executor = await this.#machine.executor();
    await this.#life.restore(signal());
    await this.#life.pull(this.#machine.image, signal());
    // The first container compiles the seccomp profile.
    await this.#prepare('warm-up');
    await this.#life.start('warm-up', signal());
    await this.#end('warm-up');
    await this.#docker?.pull(this.#machine.image);
    await this.#dockers('warm-up');
  }

  get #life(): Executor & AsyncDisposable {
    if (this.#executor === undefined) throw new Error('open() comes first');
    return this.#executor;
  }

  /** Image present -> process running, prepared -> running, and stop with clean-up. */
  async oneByOne(runs: number): Promise<void> {
    const [whole, start, end, cpu]: [number[], number[], number[], number[]] = [[], [], [], []];
    const dockers: DockersTurn[] = [];
    for (let run = 0; run < runs; run += 1) {
      const id = `one-${run}`;
      const cpuBefore = this.#cpu.ms();
      const began = performance.now();
      await this.#prepare(id);
      const prepared = performance.now();
      await this.#life.start(id, signal());
      whole.push(performance.now() - began);
      start.push(performance.now() - prepared);
      const ending = performance.now();
      await this.#end(id);
      end.push(performance.now() - ending);
      cpu.push(this.#cpu.ms() - cpuBefore);
      const turn = await this.#dockers(id);
      if (turn !== undefined) dockers.push(turn);
    }
    const beside = (ours: readonly number[], of: keyof DockersTurn): object =>
      dockers.length === 0
        ? {}
        : besideDocker(
            ours,
            dockers.map((turn) => turn[of]),
          );
    const note = 'of everything but the container itself, start to clean-up';
    const figures = [
      {
        metric: 'present-to-running',
        values: whole,
        target: isCgroup2View ? 18 : 32,
        ...beside(whole, 'runMs'),
      },
      { metric: 'prepared-to-running', values: start, target: 2 },
      { metric: 'kill-and-clean-up', values: end, target: 30, ...beside(end, 'endMs') },
      { metric: 'cpu-per-container', values: cpu, note, ...beside(cpu, 'cpuMs') },
    ];
    const cgroups = isCgroup2View ? { cgroups: 2 } : {};
    for (const figure of figures) print('executor', { unit: 'ms', ...cgroups, ...figure });
  }

  /** A container from image to clean-up by us and by the runtime alone, in turns. */
  async besideCrun(runs: number): Promise<void> {
    const { folder, name } = this.#machine;
    await using crun = await Crun.make({ folder, name, command: IDLE_COMMAND });
    const turns = { start: [] as number[], cpu: [] as number[] };
    const [ours, alone] = [turns, structuredClone(turns)];
    const turn = async (by: typeof turns, steps: [() => Promise<void>, () => Promise<void>]) => {
      const [cpuBefore, began] = [this.#cpu.ms(), performance.now()];
      await steps[0]();
      by.start.push(performance.now() - began);
      await steps[1]();
      by.cpu.push(this.#cpu.ms() - cpuBefore);
    };
    for (let run = 0; run < runs; run += 1) {
      const id = `beside-${run}`;
      const start = async (): Promise<void> => {
        await this.#prepare(id);
        await this.#life.start(id, signal());
      };
      await turn(ours, [start, () => this.#end(id)]);
      await turn(alone, [() => crun.start(id), () => crun.end(id)]);
    }
    for (const [metric, of] of [
      ['present-to-running', 'start'],
      ['cpu-per-container', 'cpu'],
    ] as const) {
      const crunAlone = quantile(alone[of], 0.5);
      const ratio = quantile(ours[of], 0.5) / crunAlone;
      print('executor', { metric, unit: 'ms', values: ours[of], crunAlone, ratio });
    }
  }

  /** The same by Docker. */
  async #dockers(id: string): Promise<DockersTurn | undefined> {
    const docker = this.#docker;
    if (docker === undefined) return undefined;
    const cpuBefore = docker.cpuMs();
    const began = performance.now();
    await docker.run(id, this.#machine.image, IDLE_COMMAND);
    const running = performance.now();
    await docker.end(id);
    const ended = performance.now();
    const cpuMs = docker.cpuMs() - cpuBefore;
    return { runMs: running - began, endMs: ended - running, cpuMs };
  }

  async burst(runs: number): Promise<void> {
    const values: number[] = [];
    const cpu: number[] = [];
    const dockers: number[] = [];
    for (let run = 0; run < runs; run += 1) {
      const ids = Array.from({ length: BURST }, (_, index) => `burst-${run}-${index}`);
      const cpuBefore = this.#cpu.ms();
      const began = performance.now();
      await Promise.all(
        ids.map(async (id) => {
          await this.#prepare(id);
          await this.#life.start(id, signal());
        }),
      );
      values.push(performance.now() - began);
      cpu.push((this.#cpu.ms() - cpuBefore) / BURST);
      await workThrough(ids, WIDTH, (id) => this.#end(id));
      const docker = this.#docker;
      if (docker === undefined) continue;
      const theirs = performance.now();
      const { image } = this.#machine;
      await Promise.all(ids.map((id) => docker.run(id, image, IDLE_COMMAND)));
      dockers.push(performance.now() - theirs);
      await workThrough(ids, WIDTH, (id) => docker.end(id));
    }
    const beside = dockers.length === 0 ? {} : besideDocker(values, dockers);
    print('executor', { metric: `${BURST}-at-once`, unit: 'ms', values, target: 800, ...beside });
    print('executor', { metric: 'cpu-per-container-at-once', unit: 'ms', values: cpu });
  }

  /** What stays of us beside the application: the monitor of each container. */
  async memory(): Promise<void> {
    const ids = await this.#idle('idle', IDLE);
    const values = monitorsOf(this.#machine.folder).map((pid) => pssKiB(pid) / 1_024);
    await workThrough(ids, WIDTH, (id) => this.#end(id));
    print('executor', { metric: 'memory-per-container', unit: 'MiB', values, target: 0.45 });
  }

  /** What hundreds of containers that do nothing cost, before and after a restart. */
  async many(containers: number, parts: readonly string[]): Promise<void> {
    const ids = await this.#idle('kept', containers);
    if (parts.includes('restart')) await this.#restart(containers);
    if (parts.includes('idle')) await this.#rest(containers);
    await workThrough(ids, WIDTH, (id) => this.#end(id));
  }

  /** A new life of the executor beside containers that run on. */
  async #restart(containers: number): Promise<void> {
    await this.#executor?.[Symbol.asyncDispose]();
    const cpuBefore = this.#cpu.ms();
    const began = performance.now();
    this.#executor = await this.#machine.executor();
    const found = await this.#executor.restore(signal());
    const values = [performance.now() - began];
    const running = [...found.values()].filter((phase) => phase === 'running').length;
    const extra = { containers, running, cpuMs: Math.round(this.#cpu.ms() - cpuBefore) };
    print('executor', { metric: 'restart-adopts', unit: 'ms', values, target: 2_000, ...extra });
  }

  /** Of this process alone: its monitors have a metric of their own. */
  async #rest(containers: number): Promise<void> {
    await sleep(systemClock, IDLE_LOOK_MS / 2, signal());
    const before = process.cpuUsage();
    await sleep(systemClock, IDLE_LOOK_MS, signal());
    const { user, system } = process.cpuUsage(before);
    const values = [((user + system) / 1_000 / IDLE_LOOK_MS) * 100];
    const extra = { containers };
    print('executor', { metric: 'idle-cpu', unit: '% of a core', values, target: 2, ...extra });
  }

  async #idle(name: string, count: number): Promise<readonly string[]> {
    const ids = Array.from({ length: count }, (_, index) => `${name}-${index}`);
    await workThrough(ids, WIDTH, async (id) => {
      await this.#prepare(id);
      await this.#life.start(id, signal());
    });
    return ids;
  }

  async #prepare(id: string): Promise<void> {
    const request = this.#machine.request(id, { command: [...IDLE_COMMAND] });
    await this.#life.prepare(request, signal());
  }

  async #end(id: string): Promise<void> {
    await this.#life.stop(id, { graceMs: 0, signal: signal() });
    await this.#life.remove(id, signal());
  }
}

/** Pids of the monitors whose bundles are below a folder. */
function monitorsOf(folder: string): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      const line = readIfThere(`/proc/${pid}/cmdline`);
      return line.startsWith('/usr/bin/conmon\0') && line.includes(folder);
    });
}

function pssKiB(pid: number): number {
  return Number(/^Pss:\s+(\d+)/m.exec(readIfThere(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0);
}

/** Processes come and go. */
function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
