/** What only cgroup version 2 has. `cgroup-v2.kernel.test.ts` brings a kernel for it, so it is never just skipped. */
import { existsSync } from 'node:fs';
import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { Cgroups } from '../src/oci/cgroup.ts';
import { ContainerCgroup } from './fixtures/container-cgroup.ts';
import { ContainerRunner, sh, signal, until } from './fixtures/container-runner.ts';
import { isInside } from './fixtures/private-machine.ts';

const ROOT = '/sys/fs/cgroup';
const isVersion2 = existsSync(join(ROOT, 'cgroup.controllers'));

describe.runIf(isInside && isVersion2)('cgroup version 2', () => {
  let runner: ContainerRunner;
  beforeAll(async () => {
    runner = await ContainerRunner.make();
  });
  afterAll(async () => {
    await runner?.[Symbol.asyncDispose]();
  });

  const words = async (...path: string[]): Promise<readonly string[]> =>
    (await readFile(join(ROOT, ...path), 'utf8')).trim().split(/\s+/);

  it('hands the controllers down from the root, however deep the parent is', async () => {
    const parent = `/${runner.machine.name}-deep/er`;
    try {
      const cgroups = await Cgroups.detect(parent);
      expect(cgroups.layout).toEqual({ version: 2 });
      expect(cgroups.abilities.canLimitSwap).toBe(
        existsSync(join(ROOT, parent, 'memory.swap.max')),
      );
      for (const path of ['/', join(parent, '..'), parent]) {
        const given = await words(path, 'cgroup.subtree_control');
        expect(given).toEqual(expect.arrayContaining(['cpu', 'memory', 'pids']));
      }
    } finally {
      for (const path of [parent, join(parent, '..')]) await rmdir(join(ROOT, path));
    }
  });

  it('says what to do about processes in the parent', async () => {
    const parent = `/${runner.machine.name}-busy`;
    await mkdir(join(ROOT, parent));
    try {
      await writeFile(join(ROOT, parent, 'cgroup.procs'), String(process.pid));
      await expect(Cgroups.detect(parent)).rejects.toMatchObject({
        code: 'failed-precondition',
        message: expect.stringContaining('processes are in it'),
      });
    } finally {
      await writeFile(join(ROOT, 'cgroup.procs'), String(process.pid));
      await rmdir(join(ROOT, parent));
    }
  });

  it('says which controllers a parent cannot have', async () => {
    const outer = join(ROOT, `${runner.machine.name}-threads`);
    await mkdir(outer);
    try {
      // Threads of one process share their memory: such a cgroup has no controller for it.
      await writeFile(join(outer, 'cgroup.type'), 'threaded');
      await expect(Cgroups.detect(`/${runner.machine.name}-threads/swarmd`)).rejects.toMatchObject({
        code: 'failed-precondition',
        message: expect.stringContaining('lacks the controllers memory'),
      });
    } finally {
      await rmdir(outer);
    }
  });

  it('shows a container its own cgroup as the root, and lets it change nothing', async () => {
    const limits = { memoryBytes: 32 * 1024 * 1024, nanoCpus: 0, pids: 0 };
    const said = await runner.output(
      sh(`cat /proc/self/cgroup /sys/fs/cgroup/memory.max
        echo max >/sys/fs/cgroup/memory.max; echo changed $?`),
      { limits },
    );
    expect(said.split('\n').slice(0, 2)).toEqual(['0::/', String(limits.memoryBytes)]);
    expect(said).toMatch(/changed [1-9]/);
  });

  it('keeps a busy container to its share of a CPU', async () => {
    const limits = { memoryBytes: 0, nanoCpus: 100_000_000, pids: 0 };
    await runner.whileRunning({ spec: sh('while :; do :; done'), limits }, async (pid) => {
      const { path } = await ContainerCgroup.of(pid);
      const throttled = async (): Promise<number> => {
        const stat = await words(path, 'cpu.stat');
        return Number(stat[stat.indexOf('nr_throttled') + 1]);
      };
      await until(async () => (await throttled()) >= 5);
    });
  });

  it('counts the processes that were refused', async () => {
    const limits = { memoryBytes: 0, nanoCpus: 0, pids: 3 };
    const spec = sh(`trap '' CHLD; (sleep 1000 & sleep 1000 & sleep 1000 &) ; exec sleep 1000`);
    await runner.whileRunning({ spec, limits }, async (pid) => {
      const { path } = await ContainerCgroup.of(pid);
      await until(async () => Number((await words(path, 'pids.events'))[1]) > 0);
    });
  });

  it('leaves no cgroup of a removed container', async () => {
    const path = await runner.whileRunning({}, async (pid) => (await ContainerCgroup.of(pid)).path);
    expect(path).toContain(runner.machine.cgroupParent);
    expect(existsSync(join(ROOT, path))).toBe(false);
    expect((await runner.executor.restore(signal())).size).toBe(0);
    expect(await runner.machine.leftInTheEnd()).toEqual([]);
  });
});
