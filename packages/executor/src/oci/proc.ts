/** Processes as /proc shows them. A pid alone may have been given away: the start time tells. */
import { readdirSync, readlinkSync } from 'node:fs';

import { errnoOf, isNotFound } from '../files/atomic-file.ts';
import { readNow, textNow } from '../files/memory-file.ts';

export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks from boot to its start; field 22 of /proc/PID/stat. */
  readonly startTicks: number;
}

/** Undefined when there is no such process, or only its remains (zombie). */
export function identify(pid: number): ProcessIdentity | undefined {
  return kinOf(pid)?.identity;
}

interface Kin {
  readonly identity: ProcessIdentity;
  readonly parentPid: number;
  /** Pid of the leader of its session. */
  readonly session: number;
}

function kinOf(pid: number): Kin | undefined {
  const text = readNow(`/proc/${pid}/stat`);
  if (text === undefined) return undefined;
  // The name in brackets may hold anything, so fields are counted from the last bracket.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [state = ''] = fields;
  if (state === 'Z' || state === 'X') return undefined;
  const identity = { pid, startTicks: Number(fields[19]) };
  return { identity, parentPid: Number(fields[1]), session: Number(fields[3]) };
}

/** The process, its descendants and, if it leads a session, all that are in it. */
export function familyOf(pid: number, among: readonly number[]): readonly ProcessIdentity[] {
  const all = [...new Set([pid, ...among])].map(kinOf).filter((kin) => kin !== undefined);
  const family = new Set([pid]);
  for (let before = 0; before < family.size;) {
    before = family.size;
    for (const { identity, parentPid, session } of all) {
      if (family.has(parentPid) || session === pid) family.add(identity.pid);
    }
  }
  return all.map(({ identity }) => identity).filter((identity) => family.has(identity.pid));
}

export function isAlive(process: ProcessIdentity): boolean {
  return identify(process.pid)?.startTicks === process.startTicks;
}

/**
 * Whether there is any process of this pid: a fiftieth of what `isAlive` costs. A "no" is sure; a "yes" may be another
 * process, or the remains of this one.
 */
export function mayBeAlive({ pid }: ProcessIdentity): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    if (errnoOf(error) === 'ESRCH') return false;
    throw error;
  }
}

/** Sends a signal to exactly this process; false when it is gone. */
export function signalProcess(target: ProcessIdentity, name: NodeJS.Signals): boolean {
  if (!isAlive(target)) return false;
  try {
    return process.kill(target.pid, name);
  } catch (error) {
    if (errnoOf(error) === 'ESRCH') return false;
    throw error;
  }
}

/** Whether the process has a file of this name open. */
export function hasOpen(pid: number, baseName: string): boolean {
  const folder = `/proc/${pid}/fd`;
  try {
    return readdirSync(folder).some((name) =>
      linkTarget(`${folder}/${name}`).endsWith(`/${baseName}`),
    );
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}

/** Empty for what was closed meanwhile. */
function linkTarget(path: string): string {
  try {
    return readlinkSync(path);
  } catch (error) {
    if (isNotFound(error)) return '';
    throw error;
  }
}

/** Processes that have exactly this among their arguments, ourselves excepted. */
export function processesWithArgument(argument: string): readonly ProcessIdentity[] {
  const found: ProcessIdentity[] = [];
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue;
    const identity = identify(Number(name));
    const command = textNow(`/proc/${name}/cmdline`);
    if (identity !== undefined && command.split('\0').includes(argument)) found.push(identity);
  }
  return found;
}

/** Different after every boot of the machine. */
export function bootId(): string {
  return textNow('/proc/sys/kernel/random/boot_id').trim();
}
