/** Load on a host of the lab, or in the network of a container there. */
import { randomUUID } from 'node:crypto';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import type { Host } from '@swarmd/lab';
import type { Task } from '@swarmd/model';

import { pidOf, until } from '../support.ts';
import type { LoadOptions, LoadResult } from './http-load.ts';

const PROGRAM = fileURLToPath(new URL('http-load.ts', import.meta.url));

/** Longer than any test. */
const LASTS_MS = 1_200_000;

export interface Load {
  /** Resolves when requests are on their way. */
  readonly started: Promise<unknown>;
  readonly result: Promise<LoadResult>;
  stop(): void;
}

export function startLoad(
  host: Host,
  options: Omit<LoadOptions, 'stopFile' | 'startFile'>,
  inside?: Task,
): Load {
  const stopFile = `${host.dir}/stop-${randomUUID()}`;
  const startFile = `${stopFile}.started`;
  const enter =
    inside === undefined ? [] : ['nsenter', '--target', String(pidOf(inside)), '--net', '--'];
  const text = JSON.stringify({ ...options, stopFile, startFile });
  const result = host
    .exec([...enter, process.execPath, PROGRAM, text], { timeoutMs: LASTS_MS })
    .then(({ stdout }) => JSON.parse(stdout) as LoadResult)
    .finally(() => {
      for (const file of [stopFile, startFile]) rmSync(file, { force: true });
    });
  // Whoever waits for the start hears of an early end, too; otherwise `result` is awaited later.
  result.catch(() => undefined);
  const started = until('the load to start', () => (existsSync(startFile) ? true : undefined));
  return { started, result, stop: () => writeFileSync(stopFile, '') };
}
