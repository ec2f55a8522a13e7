/** The processes of a container, as the machine's /proc shows them. */
import type { ProcessInfo } from '@swarmd/model';

import { readFile, stat } from 'node:fs/promises';

import { isNotFound } from '../files/atomic-file.ts';

/** sysconf(_SC_CLK_TCK) and the page size of every platform that we run on. */
const TICKS_PER_SECOND = 100;
const PAGE_BYTES = 4096;

/** Without those that end meanwhile. */
export async function processInfos(pids: readonly number[]): Promise<readonly ProcessInfo[]> {
  const bootedAt = await bootTime();
  const found = await Promise.all(pids.map((pid) => processInfo(pid, bootedAt)));
  return found.filter((info) => info !== undefined);
}

async function processInfo(pid: number, bootedAt: number): Promise<ProcessInfo | undefined> {
  try {
    const [stats, status, command] = await Promise.all([
      readFile(`/proc/${pid}/stat`, 'latin1'),
      readFile(`/proc/${pid}/status`, 'latin1'),
      readFile(`/proc/${pid}/cmdline`, 'utf8'),
    ]);
    // proc(5): fields are counted from the last bracket, as the name may hold anything.
    const fields = stats.slice(stats.lastIndexOf(')') + 2).split(' ');
    const name = stats.slice(stats.indexOf('(') + 1, stats.lastIndexOf(')'));
    const ticks = Number(fields[11]) + Number(fields[12]);
    return {
      pid,
      containerPid: Number(/^NSpid:.*\s(\d+)$/m.exec(status)?.[1] ?? pid),
      parentPid: Number(fields[1]),
      uid: Number(/^Uid:\s+\d+\s+(\d+)/m.exec(status)?.[1] ?? 0),
      state: fields[0] ?? '?',
      cpuMs: (ticks * 1_000) / TICKS_PER_SECOND,
      memoryBytes: Number(fields[21]) * PAGE_BYTES,
      startedAt: bootedAt + (Number(fields[19]) * 1_000) / TICKS_PER_SECOND,
      command: command.replaceAll('\0', ' ').trim() || `[${name}]`,
    };
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

async function bootTime(): Promise<number> {
  const seconds = /^btime (\d+)$/m.exec(await readFile('/proc/stat', 'latin1'))?.[1];
  if (seconds !== undefined) return Number(seconds) * 1_000;
  return (await stat('/proc/1')).ctimeMs;
}
