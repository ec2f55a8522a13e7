/** Processor time of the programs on the lab's hosts, by program and thread: where a write is paid for. */
import { readdirSync, readFileSync } from 'node:fs';

import type { Host } from '@swarmd/lab';

/** Nanoseconds on a processor until now, by "host program thread". */
export type ProcessorTime = ReadonlyMap<string, number>;

/** What runs below each host's first process. */
export function processorTime(hosts: readonly Host[]): ProcessorTime {
  const found = new Map<string, number>();
  const children = childrenOf();
  for (const host of hosts) {
    const left = host.initPid === undefined ? [] : [host.initPid];
    for (let pid = left.pop(); pid !== undefined; pid = left.pop()) {
      left.push(...(children.get(pid) ?? []));
      const program = programOf(pid);
      for (const thread of entries(`/proc/${pid}/task`)) {
        const name = text(`/proc/${pid}/task/${thread}/comm`).trim();
        const key = `${host.name} ${program} ${name}`;
        found.set(key, (found.get(key) ?? 0) + onProcessor(`/proc/${pid}/task/${thread}`));
      }
    }
  }
  return found;
}

/** Microseconds for each write, from the most to the least; without what has ended meanwhile. */
export function perWrite(
  times: { readonly before: ProcessorTime; readonly after: ProcessorTime },
  writes: number,
): Record<string, number> {
  const sums = new Map<string, number>();
  for (const [key, nanoseconds] of times.after) {
    sums.set(key, nanoseconds - (times.before.get(key) ?? 0));
  }
  const lines = [...sums].map(([key, spent]) => [key, Math.round(spent / 1_000 / writes)] as const);
  return Object.fromEntries(lines.filter(([, us]) => us > 0).toSorted(([, a], [, b]) => b - a));
}

function childrenOf(): Map<number, number[]> {
  const children = new Map<number, number[]>();
  for (const entry of entries('/proc')) {
    const pid = Number(entry);
    const parent = /^PPid:\s+(\d+)$/m.exec(text(`/proc/${pid}/status`))?.[1];
    if (parent === undefined) continue;
    children.set(Number(parent), [...(children.get(Number(parent)) ?? []), pid]);
  }
  return children;
}

function programOf(pid: number): string {
  const words = text(`/proc/${pid}/cmdline`).split('\0');
  if (words.includes('manager-process')) return 'manager';
  const script = words.find((word) => /\.m?[jt]s$/.test(word));
  return (script ?? words[0] ?? '').split('/').at(-1) ?? '';
}

/** The first figure of schedstat. */
function onProcessor(task: string): number {
  return Number(text(`${task}/schedstat`).split(' ')[0] ?? 0);
}

function entries(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => /^\d+$/.test(name));
  } catch {
    return []; // it has just ended
  }
}

function text(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return ''; // it has just ended
  }
}
