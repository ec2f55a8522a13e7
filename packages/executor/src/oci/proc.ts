/** Processes as /proc shows them. A pid alone may have been given away: the start time tells. */
import { readFile, readdir, readlink } from 'node:fs/promises';

import { errnoOf, isNotFound } from '../files/atomic-file.ts';

export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks from boot to its start; field 22 of /proc/PID/stat. */
  readonly startTicks: number;
}

/** Undefined when there is no such process, or only its remains (zombie). */
export async function identify(pid: number): Promise<ProcessIdentity | undefined> {
  return (await kinOf(pid))?.identity;
}

interface Kin {
  readonly identity: ProcessIdentity;
  readonly parentPid: number;
  /** Pid of the leader of its session. */
  readonly session: number;
}

async function kinOf(pid: number): Promise<Kin | undefined> {
  let text: string;
  try {
    text = await readFile(`/proc/${pid}/stat`, 'latin1');
  } catch (error) {
    // ESRCH: it ended between opening and reading.
    if (isNotFound(error) || errnoOf(error) === 'ESRCH') return undefined;
    throw error;
  }
  // The name in brackets may hold anything, so fields are counted from the last bracket.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [state = ''] = fields;
  if (state === 'Z' || state === 'X') return undefined;
  const identity = { pid, startTicks: Number(fields[19]) };
  return { identity, parentPid: Number(fields[1]), session: Number(fields[3]) };
}

/** The process, its descendants and, if it leads a session, all that are in it. */
export async function familyOf(
  pid: number,
  among: readonly number[],
): Promise<readonly ProcessIdentity[]> {
  const all = (await Promise.all([...new Set([pid, ...among])].map(kinOf))).filter(
    (kin) => kin !== undefined,
  );
  const family = new Set([pid]);
  for (let before = 0; before < family.size;) {
    before = family.size;
    for (const { identity, parentPid, session } of all) {
      if (family.has(parentPid) || session === pid) family.add(identity.pid);
    }
  }
  return all.map(({ identity }) => identity).filter((identity) => family.has(identity.pid));
}

export async function isAlive(process: ProcessIdentity): Promise<boolean> {
  return (await identify(process.pid))?.startTicks === process.startTicks;
}

/** Sends a signal to exactly this process; false when it is gone. */
export async function signalProcess(
  target: ProcessIdentity,
  name: NodeJS.Signals,
): Promise<boolean> {
  if (!(await isAlive(target))) return false;
  try {
    return process.kill(target.pid, name);
  } catch (error) {
    if (errnoOf(error) === 'ESRCH') return false;
    throw error;
  }
}

/** Whether the process has a file of this name open. */
export async function hasOpen(pid: number, baseName: string): Promise<boolean> {
  try {
    for (const descriptor of await readdir(`/proc/${pid}/fd`)) {
      const target = await readlink(`/proc/${pid}/fd/${descriptor}`).catch(() => '');
      if (target.endsWith(`/${baseName}`)) return true;
    }
    return false;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}

/** Processes that have exactly this among their arguments, ourselves excepted. */
export async function processesWithArgument(argument: string): Promise<readonly ProcessIdentity[]> {
  const found: ProcessIdentity[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue;
    const identity = await identify(Number(name));
    const command = await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '');
    if (identity !== undefined && command.split('\0').includes(argument)) found.push(identity);
  }
  return found;
}

/** Different after every boot of the machine. */
export async function bootId(): Promise<string> {
  return (await readFile('/proc/sys/kernel/random/boot_id', 'latin1')).trim();
}
