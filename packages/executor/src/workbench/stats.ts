/** What a container uses, from its cgroup and its network namespace. */
import type { ContainerStats } from '@swarmd/model';

import { readIfExists } from '../files/atomic-file.ts';
import type { Cgroups } from '../oci/cgroup.ts';

/** Version 1 says "no limit" as the largest multiple of a page below 2^63. */
const NO_LIMIT_BYTES = 2 ** 60;

type Figures = Omit<ContainerStats, 'timestamp' | 'networkReceiveBytes' | 'networkSendBytes'>;

export async function containerStats(
  container: { readonly id: string; readonly pid: number },
  cgroups: Cgroups,
  now: number,
): Promise<ContainerStats> {
  const read = (controller: string, file: string): Promise<string> =>
    cgroups.read(container.id, controller, file);
  const [figures, network] = await Promise.all([
    cgroups.layout.version === 2 ? version2(read) : version1(read),
    readIfExists(`/proc/${container.pid}/net/dev`),
  ]);
  return { timestamp: now, ...figures, ...networkBytes(String(network ?? '')) };
}

/** Without the page cache that the kernel gives back first. */
export async function memoryInUse(id: string, cgroups: Cgroups): Promise<number> {
  const read: Read = (controller, file) => cgroups.read(id, controller, file);
  return cgroups.layout.version === 2
    ? memoryOf(
        await read('', 'memory.current'),
        field(await read('', 'memory.stat'), 'inactive_file'),
      )
    : memoryOf(
        await read('memory', 'memory.usage_in_bytes'),
        field(await read('memory', 'memory.stat'), 'total_inactive_file'),
      );
}

function memoryOf(usage: string, reclaimable: number): number {
  return Math.max(0, number(usage) - reclaimable);
}

type Read = (controller: string, file: string) => Promise<string>;

async function version2(read: Read): Promise<Figures> {
  const [cpu, memory, limit, memoryStat, pids, pidsLimit, io] = await Promise.all([
    read('', 'cpu.stat'),
    read('', 'memory.current'),
    read('', 'memory.max'),
    read('', 'memory.stat'),
    read('', 'pids.current'),
    read('', 'pids.max'),
    read('', 'io.stat'),
  ]);
  return {
    cpuNs: field(cpu, 'usage_usec') * 1_000,
    memoryBytes: memoryOf(memory, field(memoryStat, 'inactive_file')),
    memoryLimitBytes: number(limit),
    pids: number(pids),
    pidsLimit: number(pidsLimit),
    blockReadBytes: sum(io, /\brbytes=(\d+)/g),
    blockWriteBytes: sum(io, /\bwbytes=(\d+)/g),
  };
}

async function version1(read: Read): Promise<Figures> {
  const [cpu, memory, limit, memoryStat, pids, pidsLimit, io] = await Promise.all([
    read('cpuacct', 'cpuacct.usage'),
    read('memory', 'memory.usage_in_bytes'),
    read('memory', 'memory.limit_in_bytes'),
    read('memory', 'memory.stat'),
    read('pids', 'pids.current'),
    read('pids', 'pids.max'),
    read('blkio', 'blkio.throttle.io_service_bytes'),
  ]);
  const limitBytes = number(limit);
  return {
    cpuNs: number(cpu),
    memoryBytes: memoryOf(memory, field(memoryStat, 'total_inactive_file')),
    memoryLimitBytes: limitBytes >= NO_LIMIT_BYTES ? 0 : limitBytes,
    pids: number(pids),
    pidsLimit: number(pidsLimit),
    blockReadBytes: sum(io, /\bRead (\d+)/g),
    blockWriteBytes: sum(io, /\bWrite (\d+)/g),
  };
}

/** Sums over the interfaces, the loopback excepted; proc_net_dev(5). */
function networkBytes(
  text: string,
): Pick<ContainerStats, 'networkReceiveBytes' | 'networkSendBytes'> {
  let networkReceiveBytes = 0;
  let networkSendBytes = 0;
  for (const line of text.split('\n')) {
    const [name = '', figures] = line.split(':');
    if (figures === undefined || name.trim() === 'lo') continue;
    const fields = figures.trim().split(/\s+/).map(Number);
    networkReceiveBytes += fields[0] ?? 0;
    networkSendBytes += fields[8] ?? 0;
  }
  return { networkReceiveBytes, networkSendBytes };
}

/** "max" and an empty file are 0. */
function number(text: string): number {
  const value = Number(text.trim());
  return Number.isFinite(value) ? value : 0;
}

function field(text: string, name: string): number {
  return number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1] ?? '');
}

function sum(text: string, pattern: RegExp): number {
  return [...text.matchAll(pattern)].reduce((total, match) => total + Number(match[1]), 0);
}
