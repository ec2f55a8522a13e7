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
const canRemap = readFileSync('/etc/subuid', 'utf8').includes('swarmd:');
const QUICK = ['--stop-signal', 'SIGKILL', '--restart-delay', '0'];
const MIB = 1024 * 1024;

async function only(name: string): Promise<Task> {
  const [task] = await untilRunning(name, 1);
  if (task === undefined) throw new Error(`${name} runs`);
  return task;
}

describe.runIf(isV2)('cgroup version 2', () => {
  afterAll(() => remove('three', 'greedy', 'mapped'));

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
    await ok('service', 'update', '--limit-memory', '64M', 'three');
    await until('the new limit', async () =>
      (await Promise.all((await running('three')).map((one) => memoryMax(one)))).every(
        (limit) => limit === String(64 * MIB),
      )
        ? true
        : undefined,
    );
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
    await remove('three', 'greedy', 'mapped');
    for (const host of lab.nodes) {
      const line = `find /sys/fs/cgroup${host.cgroupParent} -mindepth 1 -name '*-*' -type d 2>/dev/null | wc -l`;
      await until(`${host.name} has none`, async () =>
        (await sh(host, line)) === '0' ? true : undefined,
      );
    }
  });
});

function memoryMax(task: Task): Promise<string> {
  return cgroupFile(task, { v1: 'none/none', v2: 'memory.max' });
}

function memoryCurrent(task: Task): Promise<string> {
  return cgroupFile(task, { v1: 'none/none', v2: 'memory.current' });
}
