/** Writes of one and of many clients, of ours and of etcd in turn, and what they cost the processors. */
import type { Host, Lab } from '@swarmd/lab';

import { print, quantile } from '../statistics.ts';
import type { LoadOrder, LoadResult } from './load.ts';
import { perWrite, processorTime } from './processor-time.ts';
import { load, type Side } from './sides.ts';

const VALUE_BYTES = 1024;
const WRITE_TIMEOUT_MS = 10_000;
/** Until the slowest side has its code compiled. */
const WARM_UP_MS = 20_000;
const WARM_UP_CLIENTS = 64;
/** Connections and buffers are new in each round. */
const WARM_UP_WRITES = 500;
const MEASURE_MS = 4_000;

interface Round extends LoadResult {
  /** Microseconds for each write, by host, program and thread. */
  readonly servers: Record<string, number>;
}

/** Once for all sides, before they are compared. */
export async function warmUp(sides: readonly Side[]): Promise<void> {
  for (const side of sides) {
    const host = await side.leader();
    await load(host, {
      ...orderFor(side, host, WARM_UP_CLIENTS),
      warmupWrites: 0,
      measureMs: WARM_UP_MS,
      prefix: `${side.name}-warm-up`,
    });
  }
}

function orderFor(
  side: Side,
  host: Host,
  clients: number,
): Omit<LoadOrder, 'warmupWrites' | 'measureMs' | 'prefix'> {
  return {
    target: side.target(host),
    clients,
    valueBytes: VALUE_BYTES,
    timeoutMs: WRITE_TIMEOUT_MS,
    trace: false,
  };
}

/** Rounds of all sides, one after the other: what else the machine does meets all alike. */
export async function compareWrites(
  lab: Lab,
  sides: readonly Side[],
  { clients, runs }: { clients: number; runs: number },
): Promise<void> {
  const results = new Map<string, Round[]>(sides.map((side) => [side.name, []]));
  for (let run = 0; run < runs; run += 1) {
    for (const side of sides) {
      const host = await side.leader();
      const before = processorTime(lab.nodes);
      const result = await load(host, {
        ...orderFor(side, host, clients),
        warmupWrites: WARM_UP_WRITES,
        measureMs: MEASURE_MS,
        prefix: `${side.name}-${clients}-${run}`,
      });
      const servers = perWrite({ before, after: processorTime(lab.nodes) }, result.allWrites);
      results.get(side.name)?.push({ ...result, servers });
    }
  }
  const medians = new Map([...results].map(([name, found]) => [name, medianOf(found)]));
  for (const [name, found] of results) {
    const line = { side: name, clients };
    const errors = found.reduce((sum, one) => sum + one.errors, 0);
    emit({ metric: 'latency_p50', unit: 'ms', values: found.map((one) => one.p50), ...line });
    emit({ metric: 'latency_p99', unit: 'ms', values: found.map((one) => one.p99), ...line });
    emit({
      metric: 'writes',
      unit: '1/s',
      values: found.map((one) => one.writes / one.seconds),
      errors,
      ...line,
    });
    processor(found, line);
  }
  const etcd = medians.get('etcd');
  for (const [name, mine] of medians) {
    if (etcd === undefined || name === 'etcd') continue;
    ratios(name, clients, { mine, etcd });
  }
}

/** Microseconds of processor time for a write, in the clients and by program and thread of the servers. */
function processor(found: readonly Round[], line: object): void {
  emit({
    metric: 'processor_time',
    unit: 'us/write',
    values: found.map((one) => one.clientMicroseconds + sum(Object.values(one.servers))),
    clientsUs: quantile(
      found.map((one) => one.clientMicroseconds),
      0.5,
    ),
    serversUs: found.at(-1)?.servers,
    ...line,
  });
}

const sum = (values: readonly number[]): number => values.reduce((all, one) => all + one, 0);

interface Medians {
  readonly p50: number;
  readonly p99: number;
  readonly rate: number;
}

function medianOf(results: readonly Round[]): Medians {
  const median = (of: (result: Round) => number): number => quantile(results.map(of), 0.5);
  return {
    p50: median((one) => one.p50),
    p99: median((one) => one.p99),
    rate: median((one) => one.writes / one.seconds),
  };
}

/** With one client latency counts; with many, the rate and the slowest. */
function ratios(
  side: string,
  clients: number,
  { mine, etcd }: { mine: Medians; etcd: Medians },
): void {
  const line = (metric: string, ratio: number, target: object): void => {
    const rounded = Math.round(ratio * 1000) / 1000;
    process.stdout.write(
      `${JSON.stringify({ bench: 'raft', compare: 'etcd', side, clients, metric, ratio: rounded, ...target })}\n`,
    );
  };
  const atMost = (ratio: number, most: number): object => ({
    target: `<= ${most}`,
    withinTarget: ratio <= most,
  });
  const p50 = mine.p50 / etcd.p50;
  const p99 = mine.p99 / etcd.p99;
  const rate = mine.rate / etcd.rate;
  line('latency_p50', p50, clients === 1 ? atMost(p50, 1) : {});
  line('latency_p99', p99, atMost(p99, 1));
  line('writes', rate, clients === 1 ? {} : { target: '>= 3', withinTarget: rate >= 3 });
}

const emit = (figure: Parameters<typeof print>[1]): number => print('raft', figure);
