/**
 * npm run bench -- network: the data plane of two hosts, in namespaces that go with this program. All
 * ways of a comparison are measured in turns, so that a busy machine disturbs all of them alike.
 */
import { loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';

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
import { print, quantile } from './statistics.ts';

const TRAFFIC = fileURLToPath(new URL('network-traffic.ts', import.meta.url));
const PORT = 9_000;
const ENDPOINTS = 1_000;
const CONTAINERS = 50;

/** What of it can be run alone. */
export const NETWORK_PARTS = ['attachments', 'endpoints', 'backends', 'names', 'ways'] as const;
type Part = (typeof NETWORK_PARTS)[number];

export async function benchNetwork(options: {
  runs: number;
  parts?: string[] | undefined;
}): Promise<void> {
  const { parts = NETWORK_PARTS } = options;
  const unknown = parts.find((part) => !NETWORK_PARTS.includes(part as Part));
  if (unknown !== undefined)
    throw new Error(`no part "${unknown}"; there are ${NETWORK_PARTS.join(' ')}`);
  const lab = await Lab.open(2);
  try {
    const [first, second] = lab.hosts;
    if (first === undefined || second === undefined) throw new Error('the lab has two hosts');
    await Promise.all(lab.hosts.map((host) => host.open()));
    const bench = new NetworkBench(lab, { first, second, runs: options.runs });
    await bench.begin();
    for (const part of NETWORK_PARTS) if (parts.includes(part)) await bench[part]();
  } finally {
    await lab[Symbol.asyncDispose]();
  }
}

class NetworkBench {
  readonly #lab: Lab;
  readonly #first: Host;
  readonly #second: Host;
  readonly #runs: number;
  readonly #server: Placed = { ...web[1], id: 'server', networks: [front] };
  readonly #cluster: Cluster;

  constructor(lab: Lab, options: { first: Host; second: Host; runs: number }) {
    this.#lab = lab;
    this.#first = options.first;
    this.#second = options.second;
    this.#runs = options.runs;
    const backends = [gatewayAddressOf(this.#server)];
    this.#cluster = {
      ...base,
      nodes: 2,
      tasks: [client, this.#server],
      vips: { web: 2 },
      ports: [port('web', PORT, { backends, targetPort: PORT })],
    };
  }

  async begin(): Promise<void> {
    await this.#apply(this.#cluster);
  }

  async attachments(): Promise<void> {
    const [attach, detach]: [number[], number[]] = [[], []];
    const before = await this.#first.cpuMs();
    for (let i = 0; i < this.#runs; i += 1) {
      const one: Placed = { ...client, id: `attach${i}`, host: 100 + i };
      attach.push(await timed(() => this.#first.attach(task(one))));
      detach.push(await timed(() => this.#first.detach(one.id)));
    }
    const cpu = ((await this.#first.cpuMs()) - before) / this.#runs;
    this.#print({ metric: 'attach', unit: 'ms', values: attach, target: 15 });
    this.#print({ metric: 'detach', unit: 'ms', values: detach, target: 5 });
    this.#print({ metric: 'attach and detach, CPU', unit: 'ms', values: [cpu], target: 12 });
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
    const before = await this.#first.cpuMs();
    for (let run = 0; run < Math.min(this.#runs, 5); run += 1) {
      const most = { ...state, endpoints: [...state.endpoints, ...many.slice(1)] };
      all.push(await timed(() => this.#first.apply(most)));
      const complete = { ...state, endpoints: [...state.endpoints, ...many] };
      one.push(await timed(() => this.#first.apply(complete)));
      await this.#first.apply(state);
    }
    const cpu = ((await this.#first.cpuMs()) - before) / all.length;
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
    const before = await this.#first.cpuMs();
    for (let run = 0; run < this.#runs; run += 1) {
      const tasks = [...this.#cluster.tasks, { ...rival, serving: run % 2 === 0 }];
      const state = stateOf({ ...this.#cluster, tasks }, 1);
      times.push(await timed(() => this.#first.apply(state)));
    }
    const cpu = ((await this.#first.cpuMs()) - before) / this.#runs;
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
    await Promise.all(many.map((one) => this.#first.detach(one.id)));
    await this.#apply(this.#cluster);
  }

  async names(): Promise<void> {
    await this.#first.attach(task(client));
    for (const [inFlight, target] of [
      [1, 15_000],
      [32, 55_000],
    ] as const) {
      const rates: number[] = [];
      const p99: number[] = [];
      const answerUs: number[] = [];
      for (let run = 0; run < 3; run += 1) {
        const before = await this.#first.cpuMs('plane');
        const { out, err } = await this.#in(client, 'dns', 'web', String(inFlight), '1500');
        if (out === '') throw new Error(err);
        const result = JSON.parse(out) as { perSecond: number; p99Us: number };
        const cpu = (await this.#first.cpuMs('plane')) - before;
        answerUs.push((cpu * 1_000) / (result.perSecond * 1.5));
        rates.push(result.perSecond);
        p99.push(result.p99Us);
      }
      this.#print({
        metric: `DNS, ${inFlight} in flight`,
        unit: 'answers/s',
        values: rates,
        atLeast: target,
        withinTarget: quantile(rates, 0.5) >= target,
        p99Us: Math.round(quantile(p99, 0.5)),
        cpuUsPerAnswer: Math.round(quantile(answerUs, 0.5)),
      });
    }
  }

  /** Throughput and round trips of one stream over every way, against that between the hosts. */
  async ways(): Promise<void> {
    await this.#second.attach(task(this.#server));
    const stops = [
      this.#lab.start('h2', process.execPath, TRAFFIC, 'serve', String(PORT + 1)),
      await this.#lab.startIn(
        this.#second,
        'server',
        process.execPath,
        TRAFFIC,
        'serve',
        String(PORT),
      ),
    ];
    await Promise.all(
      stops.map((server) => new Promise((resolve) => server.stdout.once('data', resolve))),
    );
    const run = async (mode: string, host: string, port: number): Promise<number> => {
      const argv = [mode, host, String(port), '1000'];
      const inside = port === PORT && !host.startsWith('10.99.');
      const { out, err } = inside
        ? await this.#in(client, ...argv)
        : await this.#lab.run('h1', process.execPath, TRAFFIC, ...argv);
      if (out === '') throw new Error(`${argv.join(' ')}: ${err}`);
      return JSON.parse(out) as number;
    };
    const ways = [
      { way: 'host to host', host: this.#second.address, port: PORT + 1 },
      { way: 'overlay', host: addressOn(front, this.#server.host), port: PORT },
      { way: 'virtual address', host: addressOn(front, 2), port: PORT },
      { way: 'published port, task elsewhere', host: this.#first.address, port: PORT },
    ];
    for (const [mode, unit, scale] of [
      ['stream', 'Gbit/s', 1e-9],
      ['round-trip', 'us', 1],
    ] as const) {
      const values = ways.map((): number[] => []);
      for (let turn = 0; turn < 5; turn += 1) {
        for (const [i, { host, port }] of ways.entries()) {
          values[i]?.push((await run(mode, host, port)) * scale);
        }
      }
      const reference = quantile(values[0] ?? [], 0.5);
      for (const [i, { way }] of ways.entries()) {
        const ratio = quantile(values[i] ?? [], 0.5) / reference;
        const target = mode === 'stream' ? 0.75 : 1.35;
        const aim = way === 'overlay' ? { ratioTarget: target } : {};
        this.#print({
          metric: `${way}, ${mode}`,
          unit,
          values: values[i] ?? [],
          ratio: Math.round(ratio * 100) / 100,
          ...aim,
        });
      }
    }
    for (const server of stops) server.kill('SIGKILL');
  }

  #print(figure: Parameters<typeof print>[1]): void {
    print('network', { ...figure, load: Math.round((loadavg()[0] ?? 0) * 10) / 10 });
  }

  async #apply(cluster: Cluster): Promise<void> {
    await Promise.all(this.#lab.hosts.map((host, i) => host.apply(stateOf(cluster, i + 1))));
  }

  #in(one: Placed, ...argv: string[]): Promise<{ out: string; err: string }> {
    const host = one.node === 1 ? this.#first : this.#second;
    return host.in(one.id, process.execPath, TRAFFIC, ...argv);
  }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}
