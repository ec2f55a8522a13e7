/** Processes by pid and start time: a pid alone may belong to somebody else by now. */
import { readFileSync, writeFileSync } from 'node:fs';

/** Start time of a process in clock ticks since boot, or undefined when it is gone or a zombie. */
export function startTime(pid: number): string | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined; // no such process
  }
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' ? undefined : fields[19];
}

/** SIGKILL to a process that may have ended since its pid was read. */
export function killIfAlive(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Writes "pid starttime" so that `recall` can tell the same process from a later namesake. */
export function remember(file: string, pid: number): void {
  writeFileSync(file, `${pid} ${startTime(pid) ?? ''}\n`);
}

/** The pid in `file` if that very process is still alive. */
export function recall(file: string): number | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return undefined; // never started
  }
  const [pid, started] = text.trim().split(' ');
  return started !== undefined && startTime(Number(pid)) === started ? Number(pid) : undefined;
}
