/**
 * Which files of a running container's cgroup say its limits, and what to write there. What the runtime
 * writes when it creates a container comes from `resources` (spec.ts); a change also takes limits away. Pure.
 */
import type { ResourceLimits } from '@swarmd/model';

import { ioWeightValue, type IoWeightFile } from './io-weight.ts';
import { cpuQuota } from './spec.ts';

export interface LimitFile {
  /** As version 1 names it; means nothing in version 2. */
  readonly controller: string;
  readonly file: string;
  readonly value: string;
}

export interface LimitsContext {
  readonly version: 1 | 2;
  readonly canLimitSwap: boolean;
  /** Those that this kernel has. */
  readonly ioWeights: readonly IoWeightFile[];
  /** The CPUs of those that may use all, e.g. "0-7". */
  readonly allCpus: string;
  /** Of memory and swap together, as it is now (version 1): it must never be below the memory's. */
  readonly memoryAndSwap: number;
}

/**
 * In the order to write them in. What no limit says is only written if there was one (or nobody
 * knows: `before` undefined): a file that nobody touched need not exist.
 */
export function limitFiles(
  after: ResourceLimits,
  before: ResourceLimits | undefined,
  context: LimitsContext,
): readonly LimitFile[] {
  const changed = (...names: readonly (keyof ResourceLimits)[]): boolean =>
    names.some((name) => before === undefined || before[name] !== after[name]);
  return [
    ...(changed('memoryBytes', 'swapBytes') ? memory(after, context) : []),
    ...(changed('nanoCpus') ? quota(after, context) : []),
    ...(changed('cpuShares') ? shares(after, context) : []),
    ...(changed('cpuSet')
      ? [{ controller: 'cpuset', file: 'cpuset.cpus', value: after.cpuSet ?? context.allCpus }]
      : []),
    ...(changed('pids')
      ? [{ controller: 'pids', file: 'pids.max', value: after.pids > 0 ? `${after.pids}` : 'max' }]
      : []),
    ...(changed('ioWeight') ? weights(after, context) : []),
  ];
}

function memory(
  { memoryBytes, swapBytes = 0 }: ResourceLimits,
  { version, canLimitSwap, memoryAndSwap }: LimitsContext,
): LimitFile[] {
  const controller = 'memory';
  if (version === 2) {
    const value = memoryBytes > 0 ? `${memoryBytes}` : 'max';
    const swap = memoryBytes > 0 ? `${swapBytes}` : 'max';
    const swapFile = { controller, file: 'memory.swap.max', value: swap };
    return [{ controller, file: 'memory.max', value }, ...(canLimitSwap ? [swapFile] : [])];
  }
  const value = memoryBytes > 0 ? `${memoryBytes}` : '-1';
  const limit = { controller, file: 'memory.limit_in_bytes', value };
  if (!canLimitSwap) return [limit];
  const sum = memoryBytes > 0 ? memoryBytes + swapBytes : -1;
  const both = { controller, file: 'memory.memsw.limit_in_bytes', value: `${sum}` };
  return sum === -1 || sum >= memoryAndSwap ? [both, limit] : [limit, both];
}

function quota({ nanoCpus }: ResourceLimits, { version }: LimitsContext): LimitFile[] {
  const controller = 'cpu';
  const { quota, period } = cpuQuota(nanoCpus);
  if (version === 2) {
    const value = nanoCpus > 0 ? `${quota} ${period}` : 'max';
    return [{ controller, file: 'cpu.max', value }];
  }
  const files = [
    { controller, file: 'cpu.cfs_period_us', value: `${period}` },
    { controller, file: 'cpu.cfs_quota_us', value: nanoCpus > 0 ? `${quota}` : '-1' },
  ];
  return files;
}

/** Version 2 counts from 1 to 10000; converted as crun(1) and runc do. */
function shares({ cpuShares }: ResourceLimits, { version }: LimitsContext): LimitFile[] {
  const controller = 'cpu';
  if (version === 1)
    return [{ controller, file: 'cpu.shares', value: `${cpuShares ?? DEFAULT_SHARES}` }];
  const value =
    cpuShares === undefined ? DEFAULT_WEIGHT : 1 + Math.floor(((cpuShares - 2) * 9_999) / 262_142);
  return [{ controller, file: 'cpu.weight', value: `${value}` }];
}

function weights({ ioWeight }: ResourceLimits, { ioWeights }: LimitsContext): LimitFile[] {
  return ioWeights.map((file) => {
    return { controller: 'blkio', file, value: ioWeightValue(file, ioWeight) };
  });
}

const DEFAULT_SHARES = 1_024;
const DEFAULT_WEIGHT = 100;
