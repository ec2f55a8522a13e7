/** Whether a leader keeps its office while its main thread plans and commits as much as it can. */
import { readdirSync, readFileSync } from 'node:fs';

import type { Host, Lab } from '@swarmd/lab';

import { print } from '../statistics.ts';
import { call, openOn, raftStatus, TASKS_PER_SERVICE, unplaceable } from './calls.ts';
import { load, type Side } from './sides.ts';

const PLANNERS = 4;
const WRITERS = 16;
const LOOK_EVERY_MS = 1_000;
const TICKS_PER_SECOND = 100;

export async function steadyLeader(lab: Lab, side: Side, minutes: number): Promise<void> {
  const leader = await side.leader();
  const before = await raftStatus(leader);
  const durationMs = minutes * 60_000;
  const end = performance.now() + durationMs;
  const writing = load(leader, {
    target: side.target(leader),
    clients: WRITERS,
    warmupWrites: 0,
    measureMs: durationMs,
    valueBytes: 1024,
    prefix: 'steady',
    timeoutMs: 30_000,
    trace: false,
  });
  const planning = Array.from({ length: PLANNERS }, (_, n) => planUntil(leader, end, n));
  const manager = managerPid(leader);
  const cpuBefore = mainThreadTicks(manager);
  const began = performance.now();
  const terms = new Set([before.term]);
  while (performance.now() < end) {
    for (const host of lab.nodes) terms.add((await raftStatus(host)).term);
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
  const busy =
    (mainThreadTicks(manager) - cpuBefore) /
    TICKS_PER_SECOND /
    ((performance.now() - began) / 1_000);
  const services = (await Promise.all(planning)).reduce((sum, count) => sum + count, 0);
  const { writes, errors } = await writing;
  print('raft', {
    metric: 're_elections_under_scheduling_load',
    unit: '',
    values: [terms.size - 1],
    target: 0,
    minutes,
    mainThreadCpu: Math.round(busy * 100) / 100,
    servicesPlanned: services,
    writes,
    errors,
  });
}

/** Makes and removes services of a thousand tasks. @returns how many it made. */
async function planUntil(leader: Host, end: number, number: number): Promise<number> {
  using client = openOn(leader);
  for (let made = 0; ; made += 1) {
    if (performance.now() >= end) return made;
    const spec = unplaceable(`steady-${number}-${made}`, TASKS_PER_SERVICE);
    const { id } = await client.control.createService({ spec }, call());
    await client.control.removeService({ id }, call());
  }
}

/** The manager process of a host: the one that swarmd forked with this argument. */
function managerPid(host: Host): number {
  const init = host.initPid;
  const found = readdirSync('/proc').find(
    (pid) => /^\d+$/.test(pid) && isBelow(Number(pid), init ?? 0) && isManager(pid),
  );
  if (found === undefined) throw new Error(`no manager runs on ${host.name}`);
  return Number(found);
}

function isManager(pid: string): boolean {
  return /swarmd\.mjs\0manager/.test(text(`/proc/${pid}/cmdline`));
}

function isBelow(pid: number, ancestor: number): boolean {
  for (let at = pid; at > 1;) {
    if (at === ancestor) return true;
    at = Number(/^PPid:\s+(\d+)$/m.exec(text(`/proc/${at}/status`))?.[1] ?? 0);
  }
  return false;
}

/** CPU time of a process's first thread, user and system. */
function mainThreadTicks(pid: number): number {
  const stat = text(`/proc/${pid}/task/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

function text(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return ''; // it has just ended
  }
}
