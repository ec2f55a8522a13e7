/**
 * How fast consensus is, through the API that users have: writes beside etcd's on the same hosts and
 * disk, in one run; the loss of a leader, a restart and catching up with much state.
 */
import { Lab } from '@swarmd/lab';

import type { LoadResult } from './raft/load.ts';
import { failover } from './raft/failover.ts';
import { bigState } from './raft/big-state.ts';
import { steadyLeader } from './raft/steady-leader.ts';
import { load, startEtcd, swarm, type Side } from './raft/sides.ts';
import { print, quantile } from './statistics.ts';

export interface RaftBenchOptions {
  readonly runs: number;
  readonly slowRuns: number;
  /** How long the leader is watched under full scheduling load; 0: not at all. */
  readonly minutes: number;
  readonly tasks: number;
  readonly keep: boolean;
  /** Parts to run, of PARTS. */
  readonly parts: readonly string[];
}

export const RAFT_PARTS = ['writes', 'failover', 'big-state'];

const VALUE_BYTES = 1024;
/** Until the slowest side has its code compiled. */
const WARM_UP_WRITES = 500;
const MEASURE_MS = 4_000;
const WRITE_TIMEOUT_MS = 10_000;

export async function benchRaft(options: RaftBenchOptions): Promise<void> {
  const lab = new Lab({ name: 'benchraft', managers: 3, workers: 0 });
  await lab.down();
  try {
    await lab.up();
    const ours = swarm(lab, 'socket');
    await besideEtcd(lab, ours, options);
    if (options.minutes > 0) await steadyLeader(lab, ours, options.minutes);
    if (options.parts.includes('big-state')) await bigState(lab, ours, options);
  } finally {
    if (!options.keep) await lab.down();
  }
}

/** etcd runs only while it is compared with. */
async function besideEtcd(lab: Lab, ours: Side, options: RaftBenchOptions): Promise<void> {
  const { parts, runs, slowRuns } = options;
  if (!parts.includes('writes') && !parts.includes('failover')) return;
  const etcd = await startEtcd(lab);
  if (parts.includes('writes')) {
    const sides = [etcd, swarm(lab, 'tcp'), ours];
    await compareWrites(sides, { clients: 1, runs });
    await compareWrites(sides, { clients: 64, runs });
  }
  if (parts.includes('failover')) {
    await failover(lab, ours, slowRuns);
    // Without a target: what the machine makes of the same timing.
    await failover(lab, etcd, slowRuns);
  }
  for (const host of lab.nodes) await etcd.kill(host);
}

/** Rounds of all sides, one after the other: what else the machine does meets all alike. */
async function compareWrites(
  sides: readonly Side[],
  { clients, runs }: { clients: number; runs: number },
): Promise<void> {
  const results = new Map<string, LoadResult[]>(sides.map((side) => [side.name, []]));
  for (let run = 0; run < runs; run += 1) {
    for (const side of sides) {
      const host = await side.leader();
      const result = await load(host, {
        target: side.target(host),
        clients,
        warmupWrites: WARM_UP_WRITES,
        measureMs: MEASURE_MS,
        valueBytes: VALUE_BYTES,
        prefix: `${side.name}-${clients}-${run}`,
        timeoutMs: WRITE_TIMEOUT_MS,
        trace: false,
      });
      results.get(side.name)?.push(result);
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
  }
  const etcd = medians.get('etcd');
  for (const [name, mine] of medians) {
    if (etcd === undefined || name === 'etcd') continue;
    ratios(name, clients, { mine, etcd });
  }
}

interface Medians {
  readonly p50: number;
  readonly p99: number;
  readonly rate: number;
}

function medianOf(results: readonly LoadResult[]): Medians {
  const median = (of: (result: LoadResult) => number): number => quantile(results.map(of), 0.5);
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
