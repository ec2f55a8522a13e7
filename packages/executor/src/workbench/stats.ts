/** What a container uses, from its cgroup and its network namespace. */
import type { ContainerStats } from '@swarmd/model';

import { textNow } from '../files/memory-file.ts';
import type { Cgroups } from '../oci/cgroup.ts';

/** Version 1 says "no limit" as the largest multiple of a page below 2^63. */
const NO_LIMIT_BYTES = 2 ** 60;

type Figures = Omit<ContainerStats, 'timestamp' | 'networkReceiveBytes' | 'networkSendBytes'>;

export function containerStats(
  container: { readonly id: string; readonly pid: number },
  cgroups: Cgroups,
  now: number,
): ContainerStats {
  const read: Read = (controller, file) => cgroups.read(container.id, controller, file);
  const figures = cgroups.layout.version === 2 ? version2(read) : version1(read);
  return { timestamp: now, ...figures, ...networkBytes(textNow(`/proc/${container.pid}/net/dev`)) };
}

/** Without the page cache that the kernel gives back first. */
export function memoryInUse(id: string, cgroups: Cgroups): number {
  const read: Read = (controller, file) => cgroups.read(id, controller, file);
  return cgroups.layout.version === 2
    ? memoryOf(read('', 'memory.current'), field(read('', 'memory.stat'), 'inactive_file'))
    : memoryOf(
        read('memory', 'memory.usage_in_bytes'),
        field(read('memory', 'memory.stat'), 'total_inactive_file'),
      );
}

function memoryOf(usage: string, reclaimable: number): number {
  return Math.max(0, number(usage) - reclaimable);
}

type Read = (controller: string, file: string) => string;

function version2(read: Read): Figures {
  const cpu = read('', 'cpu.stat');
  const memory = read('', 'memory.current');
  const limit = read('', 'memory.max');
  const memoryStat = read('', 'memory.stat');
  const pids = read('', 'pids.current');
  const pidsLimit = read('', 'pids.max');
  const io = read('', 'io.stat');
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

function version1(read: Read): Figures {
  const cpu = read('cpuacct', 'cpuacct.usage');
  const memory = read('memory', 'memory.usage_in_bytes');
  const limit = read('memory', 'memory.limit_in_bytes');
  const memoryStat = read('memory', 'memory.stat');
  const pids = read('pids', 'pids.current');
  const pidsLimit = read('pids', 'pids.max');
  const io = read('blkio', 'blkio.throttle.io_service_bytes');
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
