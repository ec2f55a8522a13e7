/** What of this machine containers can ask for by name. */
import { existsSync, readdirSync } from 'node:fs';

import type { NodePlugin } from '@swarmd/model';

import { errnoOf } from './files/atomic-file.ts';

const JOURNAL_SOCKET = '/run/systemd/journal/socket';
const SOCKET = '.sock';

/** Sorted, each once. Volume plugins are there as long as their socket is. */
export function pluginsOf(options: {
  readonly pluginsDir: string;
  readonly runtimes: Iterable<string>;
}): NodePlugin[] {
  const volumes = ['local', ...socketsIn(options.pluginsDir)];
  const logs = [
    'local',
    'json-file',
    'syslog',
    'none',
    ...(existsSync(JOURNAL_SOCKET) ? ['journald'] : []),
  ];
  const runtimes = [...options.runtimes];
  const sorted = (names: readonly string[]): string[] => [...new Set(names)].toSorted();
  return [
    ...sorted(logs).map((name) => ({ kind: 'log', name }) as const),
    ...sorted(runtimes).map((name) => ({ kind: 'runtime', name }) as const),
    ...sorted(volumes).map((name) => ({ kind: 'volume', name }) as const),
  ];
}

function socketsIn(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith(SOCKET))
      .map((name) => name.slice(0, -SOCKET.length));
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}
