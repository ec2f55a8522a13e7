/**
 * What a cluster does to a kernel with cgroup version 2 and user namespaces; elsewhere, most of it is
 * skipped. `npm run lab:kernel` brings such a kernel.
 */
import { existsSync, readFileSync } from 'node:fs';

import type { Task } from '@swarmd/model';
import { afterAll, describe, expect, it } from 'vitest';

import {
  BUSYBOX,
  cgroupFile,
  ctl,
  hostOf,
  inTask,
  lab,
  ok,
  pidOf,
  remove,
  running,
  sh,
  tasks,
  until,
  untilRunning,
} from './support.ts';

const isV2 = existsSync('/sys/fs/cgroup/cgroup.controllers');
/** Kernels have the controller without the weights. */
const canWeighIo = canControl('io') && existsSync('/sys/fs/cgroup/io.cost.qos');
const canRemap = readFileSync('/etc/subuid', 'utf8').includes('swarmd:');
const QUICK = ['--stop-signal', 'SIGKILL', '--restart-delay', '0'];
const MIB = 1024 * 1024;

function canControl(controller: string): boolean {
  if (!isV2) return false;
  return readFileSync('/sys/fs/cgroup/cgroup.controllers', 'utf8').split(/\s/).includes(controller);
}

async function only(name: string): Promise<Task> {
  const [task] = await untilRunning(name, 1);
  if (task === undefined) throw new Error(`${name} runs`);
  return task;
}

describe.runIf(isV2)('cgroup version 2', { timeout: 600_000 }, () => {
  afterAll(() => remove('three', 'weighed', 'greedy', 'mapped'));

  it('holds containers, under their limits', async () => {
    const limits = ['--limit-memory', '48M', '--limit-cpu', '0.5', '--limit-pids', '40'];
    const loop = 'i=0; while :; do echo line $i; i=$((i+1)); sleep 0.2; done';
    const what = [BUSYBOX, 'sh', '-c', loop];
    await ok(
      'service',
      'create',
      '--name',
      'three',
      '--replicas',
      '3',
      ...QUICK,
      ...limits,
      ...what,
    );
    for (const task of await untilRunning('three', 3)) {
      const read = (v2: string): Promise<string> => cgroupFile(task, { v1: 'none/none', v2 });
      expect(await read('memory.max')).toBe(String(48 * MIB));
      expect(await read('cpu.max')).toBe('50000 100000');
      expect(await read('pids.max')).toBe('40');
      expect(await sh(await hostOf(task), `cat /proc/${pidOf(task)}/cgroup`)).toMatch(/^0::\/.+/);
      expect(await inTask(task, 'cat /proc/self/cgroup')).toBe('0::/');
    }
    const { stdout } = await ctl('m1', 'service', 'logs', '--raw', 'three');
    expect(stdout).toContain('line 0\n');
    const entered = await ctl('m1', 'task', 'exec', 'three.2', '--', 'sh', '-c', 'echo $((6 * 7))');
    expect(entered.stdout).toBe('42\n');
  });

  it('changes limits of what runs, and freezes it', async () => {
    const [task] = await untilRunning('three', 3);
    if (task === undefined) throw new Error('three runs');
    const read = (v2: string): Promise<string> => cgroupFile(task, { v1: 'none/none', v2 });
    await ok('task', 'pause', task.id);
    expect(await read('cgroup.events')).toContain('frozen 1');
    await ok('task', 'unpause', task.id);
    expect(await read('cgroup.events')).toContain('frozen 0');
    const before = await pidsOf('three');
    await ok('service', 'update', '--limit-memory', '64M', 'three');
    await until('the new limit', async () =>
      (await Promise.all((await running('three')).map((one) => memoryMax(one)))).every(
        (limit) => limit === String(64 * MIB),
      )
        ? true
        : undefined,
    );
    expect(await pidsOf('three')).toEqual(before);
  });

  it.runIf(canControl('cpuset') && canWeighIo)('chooses CPUs and weighs disks', async () => {
    const limits = ['--cpuset', '0', '--io-weight', '200'];
    await ok(
      'service',
      'create',
      '--name',
      'weighed',
      ...QUICK,
      ...limits,
      BUSYBOX,
      'sleep',
      '1000',
    );
    const task = await only('weighed');
    const read = (v2: string): Promise<string> => cgroupFile(task, { v1: 'none/none', v2 });
    expect(await read('cpuset.cpus')).toBe('0');
    // 10 to 1000 here, 1 to 10000 there.
    expect(await read('io.weight')).toBe('default 1920');
    expect(await read('io.bfq.weight')).toBe('default 200');
    await ok('service', 'update', '--io-weight', '10', 'weighed');
    await until('another weight', async () =>
      (await read('io.weight')) === 'default 1' ? true : undefined,
    );
    await until('in both files', async () =>
      (await read('io.bfq.weight')) === 'default 10' ? true : undefined,
    );
    expect((await only('weighed')).id).toBe(task.id);
  });

  it('takes containers on again whose daemon was killed with -9', async () => {
    const [task] = (await untilRunning('three', 3)) as [Task];
    const before = await pidsOf('three');
    const host = await hostOf(task);
    const where = await sh(host, `cat /proc/${pidOf(task)}/cgroup`);
    await lab.crash(host.name);
    await lab.heal(host.name);
    const answer = await until('the container to be entered', async () => {
      const entered = await ctl('m1', 'task', 'exec', task.id, '--', 'echo', 'still', 'here');
      return entered.code === 0 ? entered.stdout : undefined;
    });
    expect(answer).toBe('still here\n');
    expect(await sh(host, `cat /proc/${pidOf(task)}/cgroup`)).toBe(where);
    await ok('service', 'update', '--limit-memory', '56M', 'three');
    await until('another limit', async () => {
      return (await memoryMax(task)) === String(56 * MIB) || undefined;
    });
    // What its output was meanwhile is not lost, and goes on.
    const lines = async (): Promise<number[]> => {
      const { stdout } = await ctl('m1', 'task', 'logs', '--raw', task.id);
      return [...stdout.matchAll(/^line (\d+)$/gm)].map(([, n]) => Number(n));
    };
    const last = (await lines()).at(-1) ?? 0;
    const all = await until('more lines', async () => {
      const found = await lines();
      return (found.at(-1) ?? 0) > last + 5 ? found : undefined;
    });
    expect(all).toEqual(all.map((_, i) => i));
    expect(await pidsOf('three')).toEqual(before);
    // Its end is noticed as ever.
    await sh(host, `kill -9 ${pidOf(task)}`);
    const ended = await until('its end', async () =>
      (await tasks('three')).find(({ id, status }) => id === task.id && status.state === 'failed'),
    );
    expect(ended.status.exitCode).toBe(137);
    await untilRunning('three', 3);
  });

  it('says of a task that it was killed for its memory', async () => {
    const eat = 'x=a; while :; do x=$x$x; done';
    const once = ['--restart-condition', 'none', '--limit-memory', '16M', '--detach'];
    await ok('service', 'create', '--name', 'greedy', ...once, BUSYBOX, 'sh', '-c', eat);
    const failed = await until('it fails', async () =>
      (await tasks('greedy')).find(({ status }) => status.state === 'failed'),
    );
    expect(failed.status.error).toMatch(/memory/i);
  });

  it.runIf(canRemap)('runs containers whose root is nobody', async () => {
    await ok(
      'service',
      'create',
      '--name',
      'mapped',
      '--userns',
      'remap',
      ...QUICK,
      BUSYBOX,
      'sleep',
      '100000',
    );
    const task = await only('mapped');
    const host = await hostOf(task);
    expect(await sh(host, `tr -s ' ' </proc/${pidOf(task)}/uid_map`)).toMatch(/^ ?0 300000 65536$/);
    expect(await sh(host, `stat -c %u /proc/${pidOf(task)}`)).toBe('300000');
    expect(await ok('task', 'exec', 'mapped.1', '--', 'id', '-u')).toBe('0\n');
    expect(await ok('task', 'exec', 'mapped.1', '--', 'stat', '-c', '%u', '/bin/busybox')).toBe(
      '0\n',
    );
    expect(Number(await memoryCurrent(task))).toBeGreaterThan(0);
  });

  it('is left without cgroups of tasks that are gone', async () => {
    await remove('three', 'weighed', 'greedy', 'mapped');
    for (const host of lab.nodes) {
      const line = `find /sys/fs/cgroup${host.cgroupParent} -mindepth 1 -name '*-*' -type d 2>/dev/null | wc -l`;
      await until(`${host.name} has none`, async () =>
        (await sh(host, line)) === '0' ? true : undefined,
      );
    }
  });
});

async function pidsOf(name: string): Promise<ReadonlySet<number>> {
  return new Set((await running(name)).map((task) => pidOf(task)));
}

function memoryMax(task: Task): Promise<string> {
  return cgroupFile(task, { v1: 'none/none', v2: 'memory.max' });
}

function memoryCurrent(task: Task): Promise<string> {
  return cgroupFile(task, { v1: 'none/none', v2: 'memory.current' });
}
