/** Taking over what an earlier life of the executor left on this machine. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { errorMessage, unreachable, workThrough, type Clock, type Logger } from '@swarmd/base';

import { isNotFound } from '../files/atomic-file.ts';
import type { Mounter } from '../files/mounter.ts';
import { RESTORE_AT_ONCE } from '../limits.ts';
import type { Cgroups } from '../oci/cgroup.ts';
import { isAlive, signalProcess } from '../oci/proc.ts';
import type { Runtimes } from '../oci/runtime.ts';
import { decideAdoption, type Remains } from './adoption.ts';
import { readExitCode, type ExitWatch } from './exit-watch.ts';
import { LiveContainer } from './live.ts';
import { ContainerPaths, type ExecutorFolders } from './paths.ts';
import { readRecord, type ContainerRecord } from './record.ts';
import { tearDown } from './teardown.ts';
import type { VolumeStore } from '../volume/volume-store.ts';

export interface RestoreContext {
  readonly folders: ExecutorFolders;
  readonly bootId: string;
  readonly runtimes: Runtimes;
  readonly cgroups: Cgroups;
  readonly volumes: VolumeStore;
  readonly mounter: Mounter;
  readonly exits: ExitWatch;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Filled with what is adopted. */
  readonly containers: Map<string, LiveContainer>;
}

export async function restoreContainers(context: RestoreContext): Promise<void> {
  const { folders, runtimes, containers, logger } = context;
  const places = ['containers', 'logs'].map((name) => join(folders.stateDir, name));
  const found = await Promise.all([...places, join(folders.runDir, 'b')].map(entries));
  const ids = new Set([...found.flat(), ...runtimes.list()]);
  const restored = await workThrough(ids, RESTORE_AT_ONCE, (id) => restoreOne(id, context));
  // Only now it is known which volumes are in use by others.
  for (const remainder of restored) {
    if (remainder !== undefined) await removeRemains(remainder, context);
  }
  await context.volumes.recover();
  if (ids.size > 0) {
    logger.info(
      { adopted: containers.size, removed: ids.size - containers.size },
      'took over containers',
    );
  }
}

interface Remainder {
  readonly id: string;
  readonly paths: ContainerPaths;
  readonly record: ContainerRecord | undefined;
}

/** Adopts the container, or says what is to be removed. */
async function restoreOne(id: string, context: RestoreContext): Promise<Remainder | undefined> {
  const { folders, containers, exits, logger } = context;
  const paths = new ContainerPaths(folders, id);
  const record = await readRecord(paths.record);
  if (record === undefined) return { id, paths, record };
  const container = new LiveContainer(paths, record, logger);
  const adoption = decideAdoption(record, remainsOf(record, paths, context));
  switch (adoption.kind) {
    case 'remove':
      return { id, paths, record };
    case 'exited':
      await container.end(adoption.exit);
      break;
    case 'kill':
      logger.warn({ id }, 'the monitor of a container was lost; killing it');
      if (record.process !== undefined) signalProcess(record.process, 'SIGKILL');
      await container.end(adoption.exit);
      break;
    case 'ended':
      await exits.settle(container);
      break;
    case 'adopt':
      if (adoption.phase !== record.phase) container.note({ phase: adoption.phase });
      // We may have been killed while it was held still for a copy.
      if (record.isPaused !== true) context.cgroups.freeze(id, false);
      break;
    default:
      unreachable(adoption);
  }
  containers.set(id, container);
  return undefined;
}

function remainsOf(
  record: ContainerRecord,
  paths: ContainerPaths,
  context: RestoreContext,
): Remains {
  const { bootId, runtimes } = context;
  const { process, monitor } = record;
  const isSameBoot = record.bootId === bootId;
  const isMonitorAlive = isSameBoot && monitor !== undefined && isAlive(monitor);
  const isProcessAlive = isSameBoot && process !== undefined && isAlive(process);
  return {
    bootId,
    isMonitorAlive,
    isProcessAlive,
    isWaiting: isProcessAlive && isWaiting(record, runtimes),
    // Looked at last: a monitor that was seen dead has written all it will.
    exitCode: readExitCode(paths.exit),
  };
}

function isWaiting(record: ContainerRecord, runtimes: Runtimes): boolean {
  const { phase, process } = record;
  if (phase !== 'created' || process === undefined) return false;
  return runtimes.of(record.runtime).isWaiting(process.pid);
}

/** One container that cannot be removed must not keep the others from being adopted. */
async function removeRemains(container: Remainder, context: RestoreContext): Promise<void> {
  try {
    await tearDown(container, context);
  } catch (error) {
    const { id } = container;
    context.logger.error(
      { id, error: errorMessage(error) },
      'a half-made container cannot be removed',
    );
  }
}

async function entries(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (isNotFound(error)) return [];
    throw error;
  }
}
