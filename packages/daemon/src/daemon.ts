/** `swarmd` as one object: folders, identity, local socket. Disposing it leaves the containers running. */
import { fork } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { createLocalServer, serveLocal } from '@swarmd/api';
import type { Logger } from '@swarmd/base';
import { systemClock, systemIds, systemRandom } from '@swarmd/base/system';

import type { Settings } from './config/settings.ts';
import { IdentityStore } from './identity/identity.ts';
import { localService } from './local-service.ts';
import { machineStops } from './machine-stops.ts';
import { MANAGER_ENVIRONMENT, MANAGER_FLAGS } from './manager/process-flags.ts';
import { MANAGER_ARGUMENT } from './manager/protocol.ts';
import { NodeDaemon } from './node-daemon.ts';

const PRIVATE_FOLDER = 0o700;

/**
 * @param program the script to fork for the manager process
 * @throws SwarmError when another swarmd uses the run directory
 */
export async function startDaemon(
  settings: Settings,
  program: string,
  logger: Logger,
): Promise<AsyncDisposable> {
  await mkdir(settings.stateDir, { recursive: true, mode: PRIVATE_FOLDER });
  await mkdir(settings.runDir, { recursive: true, mode: PRIVATE_FOLDER });
  await using starting = new AsyncDisposableStack();
  const daemon = starting.use(
    new NodeDaemon({
      settings,
      identities: new IdentityStore(settings.stateDir),
      openMachine: async () => {
        const { openMachine } = await import('./machine.ts');
        return openMachine(settings, logger);
      },
      forkManager: () =>
        fork(program, [MANAGER_ARGUMENT], {
          stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
          execArgv: MANAGER_FLAGS,
          env: { ...process.env, ...MANAGER_ENVIRONMENT },
        }),
      machineStops: () => machineStops(),
      clock: systemClock,
      random: systemRandom,
      ids: systemIds,
      logger,
    }),
  );
  const server = starting.use(
    await createLocalServer({ path: join(settings.runDir, 'swarmd.sock'), logger }),
  );
  serveLocal(server, localService(daemon));
  daemon.resume();
  return starting.move();
}
