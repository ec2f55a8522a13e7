/** Containers and networking of this machine, with the daemon's settings. */
import type { Executor, NetworkPlane } from '@swarmd/agent';
import type { Logger } from '@swarmd/base';
import { systemClock, systemRandom } from '@swarmd/base/system';
import { createExecutor } from '@swarmd/executor';
import { createNetworkPlane } from '@swarmd/network';

import { AGENT_PORT_OFFSET, RAFT_PORT_OFFSET } from './limits.ts';
import type { Settings } from './config/settings.ts';

/** Containers and networking of this machine, made when it joins a cluster and not before. */
export interface Machine extends AsyncDisposable {
  readonly executor: Executor;
  readonly plane: NetworkPlane;
  /** Removes every trace from the kernel and the disk: the machine leaves. */
  destroy(): Promise<void>;
}

export async function openMachine(settings: Settings, logger: Logger): Promise<Machine> {
  const { stateDir, runDir, listen } = settings;
  await using opening = new AsyncDisposableStack();
  const executor = opening.use(
    await createExecutor({
      stateDir,
      runDir,
      cgroupParent: settings.cgroupParent,
      registries: settings.registries,
      storageDriver: settings.storageDriver,
      userns: settings.userns,
      imageCleanUp: settings.imageCleanUp,
      runtimes: settings.runtimes,
      logDefaults: settings.logDefaults,
      clock: systemClock,
      random: systemRandom,
      logger: logger.child({ part: 'executor' }),
    }),
  );
  const plane = opening.use(
    await createNetworkPlane({
      runDir,
      controlPorts: [listen.port, listen.port + RAFT_PORT_OFFSET, listen.port + AGENT_PORT_OFFSET],
      clock: systemClock,
      logger: logger.child({ part: 'network' }),
    }),
  );
  const opened = opening.move();
  return {
    executor,
    plane,
    destroy: () => plane.destroy(),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}
