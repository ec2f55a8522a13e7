/** What much state costs: a manager that starts again, and one that has fallen behind the log. */
import { waitUntil, type Host, type Lab } from '@swarmd/lab';

import { print } from '../statistics.ts';
import { call, matchOf, openOn, raftStatus, TASKS_PER_SERVICE, unplaceable } from './calls.ts';
import type { LoadOrder, LoadResult } from './load.ts';
import { load, type Side } from './sides.ts';

const WAIT_MS = 120_000;
const WRITERS = 8;
const WARM_UP_WRITES = 100;
const QUIET_MS = 6_000;
const CATCH_UP_WATCH_MS = 20_000;

interface Options {
  readonly tasks: number;
  readonly slowRuns: number;
}

export async function bigState(lab: Lab, side: Side, options: Options): Promise<void> {
  const count = await makeTasks(await side.leader(), options.tasks);
  await restart(lab, side, { runs: options.slowRuns, count });
  await catchUp(lab, side, count);
}

async function makeTasks(host: Host, wanted: number): Promise<number> {
  using client = openOn(host);
  for (let made = 0; made < wanted; made += TASKS_PER_SERVICE) {
    const replicas = Math.min(TASKS_PER_SERVICE, wanted - made);
    await client.control.createService({ spec: unplaceable(`big-${made}`, replicas) }, call());
  }
  return wanted;
}

/** kill -9 of daemon and manager, until a linearizable read is answered from all the state. */
async function restart(
  lab: Lab,
  side: Side,
  { runs, count }: { runs: number; count: number },
): Promise<void> {
  const values: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    const leader = await side.leader();
    const host = lab.nodes.find((one) => one !== leader) ?? leader;
    await side.kill(host);
    const start = performance.now();
    const reviving = side.revive(host);
    await serving(host);
    values.push(performance.now() - start);
    await reviving;
  }
  print('raft', { metric: 'restart_to_serving', unit: 'ms', values, target: 5000, tasks: count });
}

function serving(host: Host): Promise<true> {
  return waitUntil({ what: `${host.name} to serve`, timeoutMs: WAIT_MS }, async () => {
    try {
      using client = openOn(host);
      const limited = { signal: AbortSignal.timeout(2_000), timeoutMs: 2_000 };
      return (await client.control.listNodes({ filter: {} }, limited)).length > 0
        ? true
        : undefined;
    } catch {
      return undefined; // no socket, or not yet
    }
  });
}

/** A member whose entries are gone from the leader's log: it needs a snapshot, then the log's end. */
async function catchUp(lab: Lab, side: Side, count: number): Promise<void> {
  const leader = await side.leader();
  const lagging = lab.nodes.find((host) => host !== leader);
  if (lagging === undefined) throw new Error('there is no other manager');
  const order = (prefix: string, measureMs: number): LoadOrder => ({
    target: side.target(leader),
    clients: WRITERS,
    warmupWrites: WARM_UP_WRITES,
    measureMs,
    valueBytes: 1024,
    prefix,
    timeoutMs: 10_000,
    trace: false,
  });
  const before = await raftStatus(leader);
  await side.kill(lagging);
  const quiet: LoadResult[] = [];
  for (let n = 0; (await raftStatus(leader)).first <= before.commit + 1; n += 1)
    quiet.push(await load(leader, order(`lag-${n}`, QUIET_MS)));
  const during = load(leader, order('catch-up', CATCH_UP_WATCH_MS));
  const start = performance.now();
  const { commit } = await raftStatus(leader);
  const reviving = side.revive(lagging);
  await waitUntil({ what: `${lagging.name} to catch up`, timeoutMs: WAIT_MS }, async () =>
    (await matchOf(leader, lagging)) >= commit ? true : undefined,
  );
  const value = performance.now() - start;
  await reviving;
  print('raft', {
    metric: 'lagging_member_caught_up',
    unit: 'ms',
    values: [value],
    target: 10_000,
    tasks: count,
  });
  const disturbed = await during;
  const last = quiet.at(-1) ?? disturbed;
  print('raft', {
    metric: 'write_p99_while_catching_up',
    unit: 'x',
    values: [disturbed.p99 / last.p99],
    target: 2,
    p99Before: last.p99,
    p99While: disturbed.p99,
    errors: disturbed.errors,
  });
}
