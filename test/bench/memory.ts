/** Memory of processes by name, as the kernel accounts it. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

import type { Host } from '@swarmd/lab';

export interface Memory {
  /** MiB; text pages that processes share are counted in each. */
  readonly rss: number;
  /** MiB; shared pages are divided among those who share them. */
  readonly pss: number;
  /**
   * MiB; what a host of its own would hold: the private memory of all, and the pages of files (the
   * text of Node, which these processes share) once.
   */
  readonly resident: number;
  readonly processes: number;
}

const KIB_PER_MIB = 1024;

/** Sums over the processes of a host whose command line fits. */
export function memoryOf(host: Host, fits: (commandLine: string) => boolean): Memory {
  let rss = 0;
  let pss = 0;
  let processes = 0;
  let anonymous = 0;
  let fileBacked = 0;
  for (const pid of pidsOf(host)) {
    if (!fits(read(`/proc/${pid}/cmdline`).replaceAll('\0', ' '))) continue;
    const rollup = read(`/proc/${pid}/smaps_rollup`);
    rss += kib(rollup, 'Rss');
    pss += kib(rollup, 'Pss');
    const status = read(`/proc/${pid}/status`);
    anonymous += kib(status, 'RssAnon') + kib(status, 'RssShmem');
    fileBacked = Math.max(fileBacked, kib(status, 'RssFile'));
    processes += 1;
  }
  return {
    rss: rss / KIB_PER_MIB,
    pss: pss / KIB_PER_MIB,
    resident: (anonymous + fileBacked) / KIB_PER_MIB,
    processes,
  };
}

/** Pids, as this machine sees them, of everything in the host's mount namespace tree. */
export function pidsOf(host: Host): string[] {
  const init = host.initPid;
  if (init === undefined) return [];
  const home = link(`/proc/${init}/ns/pid`);
  return readdirSync('/proc').filter(
    (pid) => /^\d+$/.test(pid) && link(`/proc/${pid}/ns/pid`) === home,
  );
}

/** A line "Name:   123 kB" of a file of /proc. */
function kib(text: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0);
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return ''; // the process has just ended
  }
}

function link(file: string): string {
  try {
    return readlinkSync(file);
  } catch {
    return ''; // the process has just ended
  }
}
