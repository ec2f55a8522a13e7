/**
 * npm run bench -- logs: what a flood of output costs. A lab of one manager and one worker; lines are read
 * with swarmctl on the manager, so through agent, manager and client, each a process of its own.
 */
import { Lab, waitUntil, type Host } from '@swarmd/lab';

import { commandOf, cpuMs, isAgent, isConmon, isManager, readOf } from './host-processes.ts';
import { memoryOf, pidsOf } from './memory.ts';
import { print } from './statistics.ts';

const LAB_NAME = 'benchlogs';
const TEXT = 'x'.repeat(90);
const SECOND_MS = 1_000;
const MIB = 1024 ** 2;

export interface LogBenchOptions {
  readonly runs: number;
  readonly lines: number;
  /** Of the flood. */
  readonly seconds: number;
  readonly keep: boolean;
  readonly parts: readonly string[];
}

export const LOG_PARTS = ['read', 'flood'];

export async function benchLogs(options: LogBenchOptions): Promise<void> {
  const lab = new Lab({ name: LAB_NAME, managers: 1, workers: 1 });
  await lab.up();
  try {
    const bench = new LogBench(lab);
    if (options.parts.includes('read')) await bench.read(options.runs, options.lines);
    if (!options.parts.includes('flood')) return;
    for (const driver of ['local', 'json-file']) await bench.flood(driver, options.seconds);
  } finally {
    if (!options.keep) await lab.down();
  }
}

class LogBench {
  readonly #manager: Host;
  readonly #worker: Host;
  readonly #image: string;

  constructor(lab: Lab) {
    this.#manager = lab.host('m1');
    this.#worker = lab.host('w1');
    this.#image = `${lab.layout.registryEndpoint}/busybox:1`;
  }

  /** So many lines of 100 bytes, read whole. */
  async read(runs: number, lines: number): Promise<void> {
    const print100 = `yes ${TEXT}0000000 | head -n ${lines}; echo end; exec sleep 100000`;
    await this.#create('lines', ['--log-opt', 'max-size=2g'], print100);
    const logs = 'swarmctl service logs --raw';
    await waitUntil({ what: 'all lines to be printed', timeoutMs: 300 * SECOND_MS }, async () =>
      (await this.#sh(`${logs} --tail 1 lines`)) === 'end' ? true : undefined,
    );
    const wall: number[] = [];
    const cpu: Record<string, number[]> = { agent: [], manager: [], swarmctl: [] };
    for (let run = 0; run < runs; run += 1) {
      const before = [agentCpu(this.#worker), managerCpu(this.#manager)] as const;
      const began = performance.now();
      const line = `TIMEFORMAT='%U %S'; time ${logs} lines | wc -l`;
      const { stdout, stderr } = await this.#manager.exec(['bash', '-c', line]);
      wall.push(performance.now() - began);
      cpu['agent']?.push(agentCpu(this.#worker) - before[0]);
      cpu['manager']?.push(managerCpu(this.#manager) - before[1]);
      cpu['swarmctl']?.push(secondsOf(stderr) * SECOND_MS);
      if (stdout.trim() !== String(lines + 1)) throw new Error(`lines are missing: ${stdout}`);
    }
    const rates = wall.map((ms) => (lines * SECOND_MS) / ms);
    print('logs', { metric: 'read', unit: 'lines/s', values: rates, wanted: 300_000, lines });
    for (const [who, values] of Object.entries(cpu)) {
      const perMillion = values.map((ms) => (ms * 1e6) / lines);
      print('logs', {
        metric: `read-cpu-${who}`,
        unit: 'ms per million lines',
        values: perMillion,
      });
    }
    await this.#remove('lines');
  }

  /** A task that prints as fast as it can. */
  async flood(driver: string, seconds: number): Promise<void> {
    const rss = (): number => memoryOf(this.#worker, isAgent).rss;
    const rest = rss();
    // dd says how much of it went through.
    const script = `yes ${TEXT}0000000 | timeout ${seconds} dd bs=64k of=/proc/self/fd/1 2>/dev/null; sleep 100000`;
    await this.#create('flood', ['--log-driver', driver], script);
    const [agentMs, conmonMs] = [agentCpu(this.#worker), conmonCpu(this.#worker)];
    const bytesBefore = printedBytes(this.#worker);
    const began = performance.now();
    const memory: number[] = [];
    const disk: number[] = [];
    while (performance.now() - began < (seconds - 1) * SECOND_MS) {
      await new Promise((resolve) => setTimeout(resolve, 250));
      memory.push(rss());
      disk.push(Number(await this.#worker.exec(DISK).then(({ stdout }) => stdout.split(/\s/)[0])));
    }
    const passed = (performance.now() - began) / SECOND_MS;
    const rate = (printedBytes(this.#worker) - bytesBefore) / MIB / passed;
    const about = { driver };
    print('logs', { metric: 'flood', unit: 'MiB/s', values: [rate], wanted: 100, ...about });
    print('logs', {
      metric: 'flood-agent-rss',
      unit: 'MiB',
      values: memory,
      before: rest,
      ...about,
    });
    print('logs', { metric: 'flood-disk', unit: 'MiB', values: disk, ...about });
    const perSecond = (before: number, now: number): number => (now - before) / passed / 10;
    const agent = perSecond(agentMs, agentCpu(this.#worker));
    print('logs', { metric: 'flood-agent-cpu', unit: '% of a core', values: [agent], ...about });
    const conmon = perSecond(conmonMs, conmonCpu(this.#worker));
    print('logs', { metric: 'flood-conmon-cpu', unit: '% of a core', values: [conmon], ...about });
    await this.#remove('flood');
  }

  async #create(name: string, flags: readonly string[], script: string): Promise<void> {
    const words = ['--name', name, '--constraint', 'node.role==worker', '--stop-signal', 'SIGKILL'];
    const command = [this.#image, 'sh', '-c', script];
    await this.#manager.exec(['swarmctl', 'service', 'create', ...words, ...flags, ...command]);
  }

  async #remove(name: string): Promise<void> {
    await this.#manager.exec(['swarmctl', 'service', 'rm', name]);
    await waitUntil({ what: `${name} to be gone`, timeoutMs: 60 * SECOND_MS }, () =>
      pidsOf(this.#worker).some((pid) => commandOf(pid).includes('conmon')) ? undefined : true,
    );
  }

  async #sh(line: string): Promise<string> {
    const { stdout } = await this.#manager.exec(['bash', '-c', line], { timeoutMs: 120_000 });
    return stdout.trim();
  }
}

const DISK = ['du', '-sm', '/var/lib/swarmd/logs'];

const agentCpu = (host: Host): number => cpuMs(host, isAgent);
const managerCpu = (host: Host): number => cpuMs(host, isManager);
const conmonCpu = (host: Host): number => cpuMs(host, isConmon);

/** What monitors have read from containers. */
function printedBytes(host: Host): number {
  let bytes = 0;
  for (const pid of pidsOf(host)) {
    if (!isConmon(commandOf(pid))) continue;
    bytes += Number(/^rchar: (\d+)/m.exec(readOf(pid, 'io'))?.[1] ?? 0);
  }
  return bytes;
}

/** "1.230 0.120": what a program used, and the kernel for it. */
function secondsOf(times: string): number {
  const words = times.trim().split(/\s+/).slice(-2);
  return words.reduce((sum, word) => sum + Number(word), 0);
}
