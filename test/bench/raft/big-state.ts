/** What much state costs: a manager that starts again, and one that has fallen behind the log. */
import { between, waitUntil, type Host, type Lab } from '@swarmd/lab';

import { print } from '../statistics.ts';
import { call, matchOf, openOn, raftStatus, TASKS_PER_SERVICE, unplaceable } from './calls.ts';
import type { LoadOrder } from './load.ts';
import { processorTime, type ProcessorTime } from './processor-time.ts';
import { load, type Side } from './sides.ts';

const WAIT_MS = 120_000;
/** Long enough for a snapshot to be sent and restored, and for one to be taken by the leader. */
const WATCH_MS = 20_000;
const VALUE_BYTES = 1_024;
/** What fills the log: some thousand writes. A writer's message must fit into one frame of 16 KiB. */
const FILL_BYTES = 12 * 1_024;
const FILL_MS = 4_000;
const LEAST_MS = 50;
const ORDER = { clients: 8, warmupWrites: 100, timeoutMs: 10_000, trace: false };

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
  let processors: ProcessorTime = new Map();
  for (let run = 0; run < runs; run += 1) {
    const leader = await side.leader();
    const host = lab.nodes.find((one) => one !== leader) ?? leader;
    await side.kill(host);
    const start = performance.now();
    const reviving = side.revive(host);
    await serving(host);
    values.push(performance.now() - start);
    processors = processorTime([host]);
    await reviving;
  }
  print('raft', {
    metric: 'restart_to_serving',
    unit: 'ms',
    values,
    target: 5000,
    tasks: count,
    processorMs: milliseconds(new Map(), processors),
  });
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

/**
 * A member that Raft's messages do not reach until its next entries are gone from the leader's log: it needs a
 * snapshot, then the log's end. All else reaches it: a node that went down would be planned around, and tasks
 * that say why they wait be written anew.
 */
async function catchUp(lab: Lab, side: Side, count: number): Promise<void> {
  const leader = await side.leader();
  const lagging = lab.nodes.find((host) => host !== leader);
  if (lagging === undefined) throw new Error('there is no other manager');
  const others = lab.nodes.filter((host) => host !== lagging).map(({ name }) => name);
  const write = (prefix: string, more: Pick<LoadOrder, 'measureMs' | 'valueBytes'>) =>
    load(leader, { ...ORDER, target: side.target(leader), prefix, ...more });
  const { commit: before } = await raftStatus(leader);
  await lab.breakLinks(between([[lagging.name], others], 'raft'));
  for (let n = 0; (await raftStatus(leader)).first <= before + 1; n += 1)
    await write(`fill-${n}`, { measureMs: FILL_MS, valueBytes: FILL_BYTES });
  const quiet = await write('quiet', { measureMs: WATCH_MS, valueBytes: VALUE_BYTES });
  const processors = processorTime(lab.nodes);
  const writing = write('catch-up', { measureMs: WATCH_MS, valueBytes: VALUE_BYTES });
  const { commit } = await raftStatus(leader);
  await lab.mendLinks();
  const start = performance.now();
  await waitUntil({ what: `${lagging.name} to catch up`, timeoutMs: WAIT_MS }, async () =>
    (await matchOf(leader, lagging)) >= commit ? true : undefined,
  );
  const value = performance.now() - start;
  const disturbed = await writing;
  print('raft', {
    metric: 'lagging_member_caught_up',
    unit: 'ms',
    values: [value],
    target: 10_000,
    tasks: count,
    processorMs: milliseconds(processors, processorTime(lab.nodes)),
  });
  print('raft', {
    metric: 'write_p99_while_catching_up',
    unit: 'x',
    values: [disturbed.p99 / quiet.p99],
    target: 2,
    p99Before: quiet.p99,
    p99While: disturbed.p99,
    writesBefore: quiet.writes,
    writesWhile: disturbed.writes,
    errors: disturbed.errors,
  });
}

/** Of the managers' threads, by host; what took less than LEAST_MS is left out. */
function milliseconds(before: ProcessorTime, after: ProcessorTime): Record<string, number> {
  const spent = [...after].map(
    ([key, nanoseconds]) =>
      [key, Math.round((nanoseconds - (before.get(key) ?? 0)) / 1e6)] as const,
  );
  return Object.fromEntries(
    spent.filter(([key, ms]) => key.includes(' manager ') && ms >= LEAST_MS),
  );
}
