/**
 * npm run bench -- network: the data plane of two hosts, in namespaces that go with this program. All
 * ways of a comparison are measured in turns, so that a busy machine disturbs all of them alike.
 */
import { once } from 'node:events';
import { loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';

import type { NetworkState } from '@swarmd/model';

import { base, client, front, web } from '../../packages/network/test/lab/scenario.ts';
import {
  addressOn,
  gatewayAddressOf,
  port,
  stateOf,
  task,
  type Cluster,
  type Placed,
} from '../../packages/network/test/lab/cluster.ts';
import { Lab, type Host } from '../../packages/network/test/lab/lab.ts';
import { CpuMeter } from './cpu-meter.ts';
import { benchChanges } from './network/changes.ts';
import { largeState } from './network/large.ts';
import { whileAwake } from './network/awake.ts';
import { compareWays, inTurns, type Comparison, type Measured, type Mode } from './network/ways.ts';
import { print, quantile } from './statistics.ts';

const TRAFFIC = fileURLToPath(new URL('network-traffic.ts', import.meta.url));
const ASK_NAMES = fileURLToPath(new URL('network/ask-names.pl', import.meta.url));
const BESIDE = fileURLToPath(new URL('network/beside.pl', import.meta.url));
const OTHER_END = fileURLToPath(new URL('network/other-end.pl', import.meta.url));
/** Of one turn of ways that are measured by turns, and of the whole of those that one program measures. */
const TURN_MS = 500;
const BESIDE_MS = 4_000;
const PORT = 9_000;
const SNAT_PORT = 9_002;
const ENDPOINTS = 1_000;
const CONTAINERS = 50;
/** Ports of one service. */
const RANGE = 1_000;
const NAMES_MS = 1_500;
/** Until what goes behind a detach is gone. */
const LINKS_GONE_MS = 150;
const LARGE = { nodes: 300, endpoints: 10_000 };

/** What of it can be run alone. */
const HOST_PARTS = [
  'attachments',
  'endpoints',
  'backends',
  'ports',
  'large',
  'names',
  'ways',
] as const;
export const NETWORK_PARTS: readonly string[] = [...HOST_PARTS, 'changes'];

export async function benchNetwork(options: {
  runs: number;
  parts?: string[] | undefined;
}): Promise<void> {
  const { parts = NETWORK_PARTS } = options;
  const unknown = parts.find((part) => !NETWORK_PARTS.includes(part));
  if (unknown !== undefined)
    throw new Error(`no part "${unknown}"; there are ${NETWORK_PARTS.join(' ')}`);
  if (HOST_PARTS.some((part) => parts.includes(part))) await benchHosts(options.runs, parts);
  if (parts.includes('changes')) await benchChanges(options.runs);
}

async function benchHosts(runs: number, parts: readonly string[]): Promise<void> {
  using meter = CpuMeter.open('network');
  const lab = await Lab.open(2);
  meter.leave();
  try {
    const [first, second] = lab.hosts;
    if (first === undefined || second === undefined) throw new Error('the lab has two hosts');
    await Promise.all(lab.hosts.map((host) => host.open()));
    const bench = new NetworkBench(lab, { first, second, runs, meter });
    await bench.begin();
    for (const part of HOST_PARTS) if (parts.includes(part)) await bench[part]();
  } finally {
    await lab[Symbol.asyncDispose]();
  }
}

const traffic = (...args: (string | number)[]): string[] => [
  process.execPath,
  TRAFFIC,
  ...args.map(String),
];

class NetworkBench {
  readonly #lab: Lab;
  readonly #first: Host;
  readonly #second: Host;
  readonly #runs: number;
  readonly #meter: CpuMeter;
  readonly #server: Placed = { ...web[1], id: 'server', networks: [front] };
  readonly #cluster: Cluster;

  constructor(lab: Lab, options: { first: Host; second: Host; runs: number; meter: CpuMeter }) {
    this.#lab = lab;
    this.#first = options.first;
    this.#second = options.second;
    this.#runs = options.runs;
    this.#meter = options.meter;
    const toServer = { backends: [gatewayAddressOf(this.#server)], targetPort: PORT };
    this.#cluster = {
      ...base,
      nodes: 2,
      tasks: [client, this.#server],
      vips: { web: 2 },
      ports: [port('web', PORT, toServer), port('web', SNAT_PORT, { ...toServer, source: 'snat' })],
    };
  }

  async begin(): Promise<void> {
    await this.#apply(this.#cluster);
  }

  async attachments(): Promise<void> {
    const [attach, detach]: [number[], number[]] = [[], []];
    const [attachCpu, detachCpu]: [number[], number[]] = [[], []];
    for (let i = 0; i < this.#runs; i += 1) {
      const one: Placed = { ...client, id: `attach${i}`, host: 100 + i };
      const before = this.#meter.ms();
      attach.push(await timed(() => this.#first.attach(task(one))));
      const between = this.#meter.ms();
      detach.push(await timed(() => this.#first.detach(one.id)));
      // Its links go behind the detach.
      await new Promise((resolve) => setTimeout(resolve, LINKS_GONE_MS));
      attachCpu.push(between - before);
      detachCpu.push(this.#meter.ms() - between);
    }
    this.#print({ metric: 'attach', unit: 'ms', values: attach, target: 15 });
    this.#print({ metric: 'attach, CPU', unit: 'ms', values: attachCpu, target: 8 });
    this.#print({ metric: 'detach', unit: 'ms', values: detach, target: 5 });
    this.#print({ metric: 'detach, CPU', unit: 'ms', values: detachCpu });
  }

  /** One node hears of many endpoints at once, and of one more afterwards. */
  async endpoints(): Promise<void> {
    const state = stateOf(this.#cluster, 1);
    const [model] = state.endpoints.filter((endpoint) => endpoint.taskId === 'server');
    if (model === undefined) throw new Error('the server has an endpoint');
    const many = Array.from({ length: ENDPOINTS }, (_, i) => ({
      ...model,
      taskId: `many${i}` as typeof model.taskId,
      serviceId: 'many' as typeof model.serviceId,
      address: `10.0.${64 + (i >> 8)}.${i & 255}`,
    }));
    const [all, one]: [number[], number[]] = [[], []];
    const before = this.#meter.ms();
    for (let run = 0; run < Math.min(this.#runs, 5); run += 1) {
      const most = { ...state, endpoints: [...state.endpoints, ...many.slice(1)] };
      all.push(await timed(() => this.#first.apply(most)));
      const complete = { ...state, endpoints: [...state.endpoints, ...many] };
      one.push(await timed(() => this.#first.apply(complete)));
      await this.#first.apply(state);
    }
    const cpu = (this.#meter.ms() - before) / all.length;
    this.#print({ metric: `${ENDPOINTS} endpoints come and go, CPU`, unit: 'ms', values: [cpu] });
    this.#print({
      metric: `${ENDPOINTS} endpoints programmed`,
      unit: 'ms',
      values: all,
      target: 150,
    });
    this.#print({ metric: `one endpoint beside ${ENDPOINTS}`, unit: 'ms', values: one });
  }

  /** A backend leaves and comes back: until all containers of a node balance so. */
  async backends(): Promise<void> {
    const many = Array.from({ length: CONTAINERS }, (_, i): Placed => {
      return { ...client, id: `back${i}`, host: 100 + i };
    });
    await Promise.all(many.map((one) => this.#first.attach(task(one))));
    const rival: Placed = { ...web[0], id: 'rival', networks: [front], host: 90 };
    const times: number[] = [];
    const before = this.#meter.ms();
    for (let run = 0; run < this.#runs; run += 1) {
      const tasks = [...this.#cluster.tasks, { ...rival, serving: run % 2 === 0 }];
      const state = stateOf({ ...this.#cluster, tasks }, 1);
      times.push(await timed(() => this.#first.apply(state)));
    }
    const cpu = (this.#meter.ms() - before) / this.#runs;
    this.#print({
      metric: `a backend, in ${CONTAINERS} containers, CPU`,
      unit: 'ms',
      values: [cpu],
    });
    this.#print({
      metric: `a backend, in ${CONTAINERS} containers`,
      unit: 'ms',
      values: times,
      target: 150,
    });
    await this.#doctor();
    await Promise.all(many.map((one) => this.#first.detach(one.id)));
    await this.#apply(this.#cluster);
  }

  /** The daemon must have time for others while its host is looked at. */
  async #doctor(): Promise<void> {
    const [times, own]: [number[], number[]] = [[], []];
    for (let run = 0; run < 5; run += 1) {
      const before = await this.#first.use();
      times.push(await timed(() => this.#first.check(false)));
      own.push((await this.#first.use()).cpuMs - before.cpuMs);
    }
    const metric = `the doctor, with ${CONTAINERS} containers`;
    this.#print({ metric, unit: 'ms', values: times });
    this.#print({ metric: `${metric}, the daemon's own CPU`, unit: 'ms', values: own });
  }

  /** A service that publishes a range: until the node answers all of it, and until it does by one task more. */
  async ports(): Promise<void> {
    const tasks = [this.#server, { ...this.#server, id: 'rival', host: 90 }];
    const state = stateOf(this.#cluster, 1);
    const publishedBy = (some: readonly Placed[]): NetworkState => {
      const backends = some.map(gatewayAddressOf);
      const ports = Array.from({ length: RANGE }, (_, i) =>
        port('web', 20_000 + i, { backends, targetPort: 20_000 + i }),
      );
      return { ...state, ports };
    };
    const [publish, change]: [number[], number[]] = [[], []];
    const cpu: Record<'publish' | 'change', number[]> = { publish: [], change: [] };
    for (let run = 0; run < Math.min(this.#runs, 5); run += 1) {
      for (const [what, times, some] of [
        ['publish', publish, tasks.slice(1)],
        ['change', change, tasks],
      ] as const) {
        const before = this.#meter.ms();
        times.push(await timed(() => this.#first.apply(publishedBy(some))));
        cpu[what].push(this.#meter.ms() - before);
      }
      await this.#first.apply(state);
    }
    const { out } = await this.#first.sh('nft list table ip swarmd | wc -l');
    for (const [name, values, cpuMs] of [
      [`${RANGE} ports published`, publish, cpu.publish],
      [`one backend more of ${RANGE} ports`, change, cpu.change],
    ] as const) {
      this.#print({ metric: name, unit: 'ms', values, linesWithoutThem: Number(out) });
      this.#print({ metric: `${name}, CPU`, unit: 'ms', values: cpuMs });
    }
  }

  /** A network of the size of a large cluster, on one of its nodes. */
  async large(): Promise<void> {
    const none = largeState(this.#cluster, { ...LARGE, endpoints: 0 });
    const all = largeState(this.#cluster, LARGE);
    const last = all.endpoints.at(-1);
    if (last === undefined) throw new Error('a large state has endpoints');
    await this.#first.attach(task(client));
    await this.#first.apply(none);
    const atFirst = await this.#first.use();
    const figures = { fill: [], fillCpu: [], change: [], changeCpu: [] } as Record<
      string,
      number[]
    >;
    const measure = async (what: string, work: () => Promise<void>): Promise<void> => {
      const before = this.#meter.ms();
      figures[what]?.push(await timed(work));
      figures[`${what}Cpu`]?.push(this.#meter.ms() - before);
    };
    await measure('fill', () => this.#first.apply(all));
    for (let run = 0; run < this.#runs; run += 1) {
      await measure('change', () => this.#first.change([{ ...last, serving: run % 2 === 1 }]));
    }
    const atLast = await this.#first.use();
    const size = `${LARGE.nodes} nodes and ${LARGE.endpoints} endpoints`;
    for (const [what, name] of [
      ['fill', `${size} programmed`],
      ['change', `one endpoint beside ${size}`],
    ] as const) {
      this.#print({ metric: name, unit: 'ms', values: figures[what] ?? [] });
      this.#print({ metric: `${name}, CPU`, unit: 'ms', values: figures[`${what}Cpu`] ?? [] });
    }
    const grown = (what: 'neededBytes' | 'residentBytes'): number[] => [
      (atLast[what] - atFirst[what]) / 2 ** 20,
    ];
    const memory = `${size}, memory of the plane`;
    this.#print({ metric: memory, unit: 'MiB', values: grown('neededBytes') });
    this.#print({ metric: `${memory}, resident`, unit: 'MiB', values: grown('residentBytes') });
    await this.#first.detach(client.id);
    await this.#apply(this.#cluster);
  }

  /**
   * One question after the other, and as many at a time as a busy host has: as fast as they are answered. A
   * quiet machine's processors fall asleep between question and answer, so that is asked for both. A few at a
   * time show how long an answer takes that does not wait for many others.
   */
  async names(): Promise<void> {
    await this.#first.attach(task(client));
    const ms = String(NAMES_MS);
    const one = { target: 15_000, argv: ['perl', ASK_NAMES, 'web', ms] };
    await this.#ask('DNS, 1 in flight', one);
    await whileAwake(async () => {
      await this.#ask('DNS, 1 in flight, processors awake', one);
      await this.#ask('DNS, 32 in flight', { target: 55_000, argv: traffic('dns', 'web', 32, ms) });
      await this.#ask('DNS, 4 in flight', { target: 0, argv: traffic('dns', 'web', 4, ms) });
    });
  }

  async #ask(
    metric: string,
    { target, argv }: { target: number; argv: readonly string[] },
  ): Promise<void> {
    const [rates, p99, answerUs]: [number[], number[], number[]] = [[], [], []];
    for (let run = 0; run < 5; run += 1) {
      const before = await this.#first.use();
      const result = await this.#in<{ perSecond: number; p99Us: number }>(client, ...argv);
      const { cpuMs } = await this.#first.use();
      answerUs.push(((cpuMs - before.cpuMs) * 1e6) / (result.perSecond * NAMES_MS));
      rates.push(result.perSecond);
      p99.push(result.p99Us);
    }
    this.#print({
      metric,
      unit: 'answers/s',
      values: rates,
      atLeast: target,
      withinTarget: quantile(rates, 0.5) >= target,
      p99Us: Math.round(quantile(p99, 0.5)),
      cpuUsPerAnswer: Math.round(quantile(answerUs, 0.5)),
    });
  }

  /** Throughput and round trips of one stream over every way, beside another one. */
  async ways(): Promise<void> {
    await Promise.all([this.#first.attach(task(client)), this.#second.attach(task(this.#server))]);
    const lab = this.#lab;
    const stops = [
      lab.start('h2', 'perl', OTHER_END, String(PORT + 1)),
      await lab.startIn(this.#second, 'server', 'perl', OTHER_END, String(PORT)),
    ];
    await Promise.all(stops.map(({ stdout }) => once(stdout, 'data')));
    const { address } = this.#first;
    const server = addressOn(front, this.#server.host);
    const beside = (mode: Mode, ...ways: readonly (string | number)[]): string[] =>
      ['perl', BESIDE, mode, ...ways, ways.length > 2 ? BESIDE_MS : TURN_MS].map(String);
    const hosts = async (mode: Mode): Promise<number> => {
      const argv = beside(mode, this.#second.address, PORT + 1);
      return middleOf(resultOf(argv, await lab.run('h1', ...argv)) as [Measured][]);
    };
    const inside = async (mode: Mode): Promise<number> =>
      middleOf(await this.#in<[Measured][]>(client, ...beside(mode, server, PORT)));
    const comparisons: Comparison[] = [
      {
        names: ['overlay', 'host to host'],
        aims: { stream: 'ratio of at least 0.75', 'round-trip': 'ratio of at most 1.35' },
        measure: (mode) =>
          inTurns(
            () => inside(mode),
            () => hosts(mode),
          ),
      },
      {
        names: ['virtual address', 'task address'],
        untilKnown: true,
        aims: { stream: 'ratio of at least 0.98', 'round-trip': 'difference of at most 3' },
        measure: (mode) =>
          this.#in(client, ...beside(mode, addressOn(front, 2), PORT, server, PORT)),
      },
      {
        names: ['published port, task elsewhere', 'the same with SNAT'],
        untilKnown: true,
        aims: { stream: 'ratio of at least 1', 'round-trip': 'ratio of at most 1' },
        measure: async (mode) => {
          const argv = beside(mode, address, PORT, address, SNAT_PORT);
          return resultOf(argv, await lab.run('cl', ...argv)) as [Measured, Measured][];
        },
      },
    ];
    await whileAwake(() => compareWays(comparisons, (figure) => this.#print(figure)));
    for (const server of stops) server.kill('SIGKILL');
    await Promise.all([this.#first.detach(client.id), this.#second.detach(this.#server.id)]);
  }

  #print(figure: Parameters<typeof print>[1]): void {
    print('network', { ...figure, load: Math.round((loadavg()[0] ?? 0) * 10) / 10 });
  }

  async #apply(cluster: Cluster): Promise<void> {
    await Promise.all(this.#lab.hosts.map((host, i) => host.apply(stateOf(cluster, i + 1))));
  }

  async #in<T>(one: Placed, ...argv: string[]): Promise<T> {
    const host = one.node === 1 ? this.#first : this.#second;
    return resultOf(argv, await host.in(one.id, ...argv)) as T;
  }
}

/** Of the turns of one way. */
function middleOf(turns: readonly [Measured][]): number {
  return quantile(
    turns.map(([one]) => one.value),
    0.5,
  );
}

/** What a program printed. */
function resultOf(argv: readonly string[], { out, err }: { out: string; err: string }): unknown {
  if (out === '') throw new Error(`${argv.join(' ')}: ${err}`);
  return JSON.parse(out);
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}
