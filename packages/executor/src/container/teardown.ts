/** Removing everything of a container, whatever state it is in; safe to repeat. */
import { errorMessage, sleep, SwarmError, type Clock, type Logger } from '@swarmd/base';

import { KILL_LOOK_MS, KILL_TIMEOUT_MS } from '../limits.ts';
import type { Cgroups } from '../oci/cgroup.ts';
import { identify, processesWithArgument, signalProcess } from '../oci/proc.ts';
import type { Runtimes } from '../oci/runtime.ts';
import type { ContainerPaths } from './paths.ts';
import type { ContainerRecord } from './record.ts';
import { isThereNow, removeNow } from '../files/memory-file.ts';
import type { Mounter } from '../files/mounter.ts';
import { removeTree } from '../files/remove-tree.ts';
import type { VolumeStore } from '../volume/volume-store.ts';

export interface TeardownContext {
  readonly runtimes: Runtimes;
  readonly cgroups: Cgroups;
  readonly volumes: VolumeStore;
  readonly mounter: Mounter;
  readonly clock: Clock;
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
  const isHalfMade = record === undefined || record.phase === 'creating';
  if (isHalfMade) await endCreation(paths, context.clock);
  await endProcesses(container, context);
  if (record?.monitor !== undefined) signalProcess(record.monitor, 'SIGKILL');
  if (isThereNow(paths.files)) await context.mounter.unmount(paths.files);
  await context.mounter.unmount(paths.merged);
  if (isHalfMade) await context.mounter.unmountBelow(paths.mapped);
  await context.cgroups.remove(id, context.clock);
  await releaseVolumes(id, record?.volumes ?? [], context);
  for (const path of [paths.bundle, paths.exit]) removeNow(path);
  await removeTree(paths.logDir);
  await removeTree(paths.state);
}

/** A plugin that does not answer must not keep the container: there may be none any more. */
async function releaseVolumes(
  id: string,
  names: readonly string[],
  { volumes, logger }: TeardownContext,
): Promise<void> {
  await volumes.release(names, id).catch((error: unknown) => {
    logger.warn({ id, error: errorMessage(error) }, 'a volume of a container cannot be unmounted');
  });
}

/**
 * conmon and crun go on creating when we die, so they may be at it now. They and the container's process
 * before it becomes the user's program have the bundle as an argument.
 */
async function endCreation(paths: ContainerPaths, clock: Clock): Promise<void> {
  const { signal } = new AbortController();
  for (let round = 0; round < KILL_TIMEOUT_MS / KILL_LOOK_MS; round += 1) {
    const creators = processesWithArgument(paths.bundle);
    if (creators.length === 0) return;
    for (const creator of creators) signalProcess(creator, 'SIGKILL');
    await sleep(clock, KILL_LOOK_MS, signal);
  }
  throw new SwarmError('deadline-exceeded', `processes that use ${paths.bundle} cannot be killed`);
}

async function endProcesses(
  container: { readonly id: string; readonly record: ContainerRecord | undefined },
  context: TeardownContext,
): Promise<void> {
  const { id, record } = container;
  const { runtimes, cgroups, logger } = context;
  const runtime = record === undefined ? runtimes.holding(id) : runtimes.of(record.runtime);
  // crun's delete does no more for a container without processes, in 6 ms more.
  const isOver = record?.exit !== undefined && runtime.isCrun;
  if (isOver && cgroups.processes(id).length === 0) {
    runtime.forget(id);
    return;
  }
  try {
    await runtime.delete(id);
  } catch (error) {
    // State cut short by a crash: the cgroup still knows the processes.
    logger.warn(
      { id, error: errorMessage(error) },
      'the runtime cannot delete a container; doing it by hand',
    );
    for (const pid of cgroups.processes(id)) {
      const process = identify(pid);
      if (process !== undefined) signalProcess(process, 'SIGKILL');
    }
    runtime.forget(id);
  }
}
