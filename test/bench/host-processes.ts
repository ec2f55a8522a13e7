/** Processes of a lab's host by their command lines, and the processor time that they have used. */
import { readFileSync } from 'node:fs';

import type { Host } from '@swarmd/lab';

import { pidsOf } from './memory.ts';

const TICKS_A_SECOND = 100;

export const isAgent = (command: string): boolean =>
  /swarmd\.mjs|daemon\/src\/main\.ts/.test(command);
export const isManager = (command: string): boolean =>
  /manager/.test(command) && !command.includes('swarmctl');
export const isConmon = (command: string): boolean => command.includes('conmon');

export function commandOf(pid: string): string {
  return readOf(pid, 'cmdline').replaceAll('\0', ' ');
}

/** Milliseconds since they began, of those that live. */
export function cpuMs(host: Host, fits: (command: string) => boolean): number {
  let ticks = 0;
  for (const pid of pidsOf(host)) {
    if (!fits(commandOf(pid))) continue;
    const fields = readOf(pid, 'stat').split(') ')[1]?.split(' ') ?? [];
    ticks += Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
  }
  return (ticks * 1_000) / TICKS_A_SECOND;
}

/** A file of /proc/PID; empty when the process has just ended. */
export function readOf(pid: string, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch {
    return '';
  }
}
