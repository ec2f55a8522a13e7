/** A prober of the names of a service, in a container. */
import { randomUUID } from 'node:crypto';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import type { Task } from '@swarmd/model';

import { hostOf, pidOf, until } from '../support.ts';
import type { ProberResult } from './dns-prober.ts';

const PROBER = fileURLToPath(new URL('dns-prober.ts', import.meta.url));
const PERIOD_MS = '50';
/** Longer than any test. */
const PROBES_MS = 1_200_000;

export interface Prober {
  stop(): Promise<ProberResult>;
}

/** Asks from inside of `task` for the tasks of the service `name`. */
export async function startProber(task: Task, name: string): Promise<Prober> {
  const host = await hostOf(task);
  const stopFile = `${host.dir}/stop-${randomUUID()}`;
  const startFile = `${stopFile}.started`;
  const enter = ['nsenter', '--target', String(pidOf(task)), '--net', '--'];
  const argv = [process.execPath, PROBER, name, PERIOD_MS, stopFile, startFile];
  const result = host.exec([...enter, ...argv], { timeoutMs: PROBES_MS });
  result.catch(() => undefined);
  await until('a prober to start', () => (existsSync(startFile) ? true : undefined));
  return {
    stop: async () => {
      writeFileSync(stopFile, '');
      const { stdout } = await result;
      for (const file of [stopFile, startFile]) rmSync(file, { force: true });
      return JSON.parse(stdout) as ProberResult;
    },
  };
}
