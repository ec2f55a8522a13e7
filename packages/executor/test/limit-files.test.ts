import { resourceLimits, type ResourceLimits } from '@swarmd/model';
import { describe, expect, it } from 'vitest';

import { ioWeightFiles, type IoWeightFile } from '../src/oci/io-weight.ts';
import { limitFiles, type LimitsContext } from '../src/oci/limit-files.ts';
import { resources } from '../src/oci/spec.ts';

const MIB = 1024 * 1024;
const none = resourceLimits.parse({});
const all = resourceLimits.parse({
  nanoCpus: 5e8,
  memoryBytes: 64 * MIB,
  swapBytes: MIB,
  pids: 7,
  cpuShares: 512,
  cpuSet: '1',
  ioWeight: 10,
});
const context = { canLimitSwap: true, allCpus: '0-3', memoryAndSwap: 2 ** 62 };

function written(
  after: ResourceLimits,
  before: ResourceLimits | undefined,
  more: Pick<LimitsContext, 'version'> & Partial<LimitsContext>,
): string[] {
  const ioWeights = ioWeightFiles(more.version, () => true);
  const files = limitFiles(after, before, { ...context, ioWeights, ...more });
  return files.map(({ file, value }) => `${file}=${value}`);
}

describe('files of changed limits', () => {
  it('say all limits', () => {
    expect(written(all, none, { version: 1 })).toEqual([
      'memory.limit_in_bytes=67108864',
      'memory.memsw.limit_in_bytes=68157440',
      'cpu.cfs_period_us=100000',
      'cpu.cfs_quota_us=50000',
      'cpu.shares=512',
      'cpuset.cpus=1',
      'pids.max=7',
      'blkio.weight=10',
      'blkio.bfq.weight=10',
    ]);
    expect(written(all, none, { version: 2 })).toEqual([
      'memory.max=67108864',
      'memory.swap.max=1048576',
      'cpu.max=50000 100000',
      'cpu.weight=20',
      'cpuset.cpus=1',
      'pids.max=7',
      'io.weight=default 1',
      'io.bfq.weight=default 10',
    ]);
  });

  it('take limits away', () => {
    expect(written(none, all, { version: 1 })).toEqual([
      'memory.memsw.limit_in_bytes=-1',
      'memory.limit_in_bytes=-1',
      'cpu.cfs_period_us=100000',
      'cpu.cfs_quota_us=-1',
      'cpu.shares=1024',
      'cpuset.cpus=0-3',
      'pids.max=max',
      'blkio.weight=500',
      'blkio.bfq.weight=100',
    ]);
    expect(written(none, all, { version: 2 })).toEqual([
      'memory.max=max',
      'memory.swap.max=max',
      'cpu.max=max',
      'cpu.weight=100',
      'cpuset.cpus=0-3',
      'pids.max=max',
      'io.weight=default 100',
      'io.bfq.weight=default 100',
    ]);
  });

  it('are those that change, and all when nobody knows what was', () => {
    expect(written({ ...all, pids: 8 }, all, { version: 2 })).toEqual(['pids.max=8']);
    expect(written(all, undefined, { version: 2 })).toHaveLength(8);
  });

  it('let memory and swap together never be below the memory', () => {
    const raised = { ...all, memoryBytes: 128 * MIB };
    const now = { version: 1, memoryAndSwap: 65 * MIB } as const;
    expect(written(raised, all, now)).toEqual([
      'memory.memsw.limit_in_bytes=135266304',
      'memory.limit_in_bytes=134217728',
    ]);
  });

  it('leave out what the kernel does not have', () => {
    const can = { canLimitSwap: false, ioWeights: [] };
    expect(written(all, none, { version: 1, ...can })).not.toContainEqual(
      expect.stringMatching(/memsw|blkio/),
    );
  });
});

describe('what the runtime is told of weights of disks', () => {
  const told = (ioWeights: readonly IoWeightFile[]): object =>
    resources({ limits: resourceLimits.parse({ ioWeight: 200 }), canLimitSwap: true, ioWeights });

  it('is, of version 2, every file that the kernel has: it would write one of them', () => {
    expect(told(ioWeightFiles(2, () => true))).toEqual({
      unified: { 'io.weight': 'default 1920', 'io.bfq.weight': 'default 200' },
    });
    expect(told(['io.bfq.weight'])).toEqual({ unified: { 'io.bfq.weight': 'default 200' } });
  });

  it('is the weight itself, of version 1', () => {
    expect(told(ioWeightFiles(1, () => true))).toEqual({ blockIO: { weight: 200 } });
  });

  it('is nothing where the kernel has none, or one of version 1 that crun does not know', () => {
    expect(told([])).toEqual({});
    expect(told(ioWeightFiles(1, (sign) => sign.includes('bfq')))).toEqual({});
  });
});
