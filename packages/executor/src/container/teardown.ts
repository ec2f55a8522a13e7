/** Removing everything of a container, whatever state it is in; safe to repeat. */
import { rm } from 'node:fs/promises';

import { errorMessage, type Logger } from '@swarmd/base';

import type { Cgroups } from '../oci/cgroup.ts';
import { signalProcess, identify } from '../oci/proc.ts';
import type { Runtime } from '../oci/runtime.ts';
import type { ContainerPaths } from './paths.ts';
import type { ContainerRecord } from './record.ts';
import { unmount } from './rootfs.ts';

export interface TeardownContext {
  readonly runtime: Runtime;
  readonly cgroups: Cgroups;
  readonly logger: Logger;
}

/** The record goes last: an interrupted teardown is taken up again by the next `restore`. */
export async function tearDown(
  container: {
    readonly id: string;
    readonly paths: ContainerPaths;
    readonly record: ContainerRecord | undefined;
  },
  context: TeardownContext,
): Promise<void> {
  const { id, paths, record } = container;
  await endProcesses(id, context);
  if (record?.monitor !== undefined) await signalProcess(record.monitor, 'SIGKILL');
  await unmount(paths.files);
  await unmount(paths.merged);
  await context.cgroups.remove(id);
  for (const path of [paths.bundle, paths.exit, paths.logDir, paths.state]) {
    await rm(path, { recursive: true, force: true });
  }
}

async function endProcesses(id: string, context: TeardownContext): Promise<void> {
  const { runtime, cgroups, logger } = context;
  try {
    await runtime.delete(id);
  } catch (error) {
    // State cut short by a crash: the cgroup still knows the processes.
    logger.warn(
      { id, error: errorMessage(error) },
      'the runtime cannot delete a container; doing it by hand',
    );
    for (const pid of await cgroups.processes(id)) {
      const process = await identify(pid);
      if (process !== undefined) await signalProcess(process, 'SIGKILL');
    }
    await runtime.forget(id);
  }
}
