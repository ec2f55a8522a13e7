/** Limits of a container that runs, changed by writing them into its cgroup. */
import { SwarmError } from '@swarmd/base';
import type { ResourceLimits } from '@swarmd/model';

import { errnoOf } from '../files/atomic-file.ts';
import type { Cgroups } from '../oci/cgroup.ts';
import { ioWeightValue, isWrittenByRuntimes } from '../oci/io-weight.ts';
import { limitFiles, type LimitFile } from '../oci/limit-files.ts';
import { memoryInUse } from '../workbench/stats.ts';
import type { LiveContainer } from './live.ts';

const MIB = 1024 * 1024;

/**
 * Safe to repeat; what fails leaves the rest as it was.
 * @throws SwarmError `failed-precondition` for less memory than it uses, and for what the kernel refuses.
 */
export async function changeLimits(
  { id, record }: LiveContainer,
  limits: ResourceLimits,
  cgroups: Cgroups,
): Promise<void> {
  const { memoryBytes } = limits;
  const used = memoryInUse(id, cgroups);
  // Version 2 would kill it; version 1 would refuse after having written out all it can.
  if (memoryBytes > 0 && used > memoryBytes) {
    throw new SwarmError(
      'failed-precondition',
      `it uses ${Math.ceil(used / MIB)} MiB of memory, more than the new limit of ${Math.floor(memoryBytes / MIB)} MiB; it keeps the limits that it has until it uses less`,
    );
  }
  for (const file of limitFiles(limits, record.limits, cgroups.limitsContext(id)))
    await write(id, file, cgroups);
}

/** What runtimes do not write when they create a container. @throws SwarmError `failed-precondition`. */
export async function limitFurther(
  id: string,
  { ioWeight }: ResourceLimits,
  cgroups: Cgroups,
): Promise<void> {
  if (ioWeight === undefined) return;
  for (const file of cgroups.abilities.ioWeights.filter((name) => !isWrittenByRuntimes(name))) {
    const value = ioWeightValue(file, ioWeight);
    await write(id, { controller: 'blkio', file, value }, cgroups);
  }
}

async function write(
  id: string,
  { controller, file, value }: LimitFile,
  cgroups: Cgroups,
): Promise<void> {
  try {
    await cgroups.write(id, { controller, file }, value);
  } catch (cause) {
    const why = errnoOf(cause);
    throw new SwarmError(
      'failed-precondition',
      `the kernel does not take "${value}" for ${file}${why === '' ? '' : ` (${why})`}`,
      { cause },
    );
  }
}
