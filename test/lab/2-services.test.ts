/** Services: what users type, what becomes of it, and what the kernel says. */
import { afterAll, describe, expect, it } from 'vitest';

import {
  BUSYBOX,
  cgroupFile,
  ctl,
  hostOf,
  inTask,
  lab,
  NGINX,
  NGINX_2,
  ok,
  pidOf,
  remove,
  running,
  service,
  sh,
  tasks,
  until,
  untilRunning,
} from './support.ts';

const MIB = 1024 * 1024;

describe('a replicated service', () => {
  afterAll(() => remove('web'));

  it('is created, waits for convergence and spreads over the nodes', async () => {
    const { code, stderr } = await ctl(
      'm1',
      'service',
      'create',
      '--name',
      'web',
      '--replicas',
      '3',
      '--env',
      'GREETING=hello',
      NGINX,
    );
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/3 out of 3/);
    const found = await running('web');
    expect(found).toHaveLength(3);
    expect(new Set(found.map((task) => task.nodeId)).size).toBe(3);
    for (const task of found) {
      const host = await hostOf(task);
      expect(await sh(host, `tr '\\0' ' ' < /proc/${pidOf(task)}/cmdline`)).toMatch(/nginx/);
    }
  });

  it('shows in ls, ps and inspect, for people and for programs', async () => {
    expect(await ok('service', 'ls')).toMatch(/web +replicated +3\/3/);
    expect(await ok('service', 'ps', 'web')).toMatch(/web\.1 .*Running/);
    const rows = JSON.parse(await ok('service', 'ls', '--format', 'json')) as {
      spec: { name: string };
    }[];
    expect(rows.map((row) => row.spec.name)).toContain('web');
    expect((await service('web')).spec.mode).toEqual({ kind: 'replicated', replicas: 3 });
  });

  it('is the same seen from every manager', async () => {
    for (const host of ['m2', 'm3'])
      expect((await ctl(host, 'service', 'ls')).stdout).toMatch(/web +replicated +3\/3/);
  });

  it('scales up and down without touching what may stay', async () => {
    const before = new Set((await running('web')).map((task) => task.id));
    await ok('service', 'scale', 'web=5');
    const more = await untilRunning('web', 5);
    expect(more.filter((task) => before.has(task.id))).toHaveLength(3);
    await ok('service', 'scale', 'web=2');
    const fewer = await untilRunning('web', 2);
    for (const task of fewer) expect(more.map((other) => other.id)).toContain(task.id);
  });

  it('takes a new image, one task at a time', async () => {
    const old = new Set((await running('web')).map((task) => task.id));
    await ok('service', 'update', '--image', NGINX_2, 'web');
    const found = await untilRunning('web', 2);
    expect(found.filter((task) => old.has(task.id))).toEqual([]);
    for (const task of found) expect(task.spec.container.image).toContain(`${NGINX_2}@sha256:`);
    expect((await service('web')).updateStatus?.state).toBe('completed');
  });

  it('replaces a container that fails, after the restart delay, in the same slot', async () => {
    // The restart policy is part of what a task is made from: the update replaces both, and is waited for.
    await ok('service', 'update', '--quiet', '--restart-delay', '0', 'web');
    const [victim] = await untilRunning('web', 2);
    if (victim === undefined) throw new Error('no task');
    await (await hostOf(victim)).exec(['kill', '-9', String(pidOf(victim))]);
    await until('a replacement', async () => {
      const found = await running('web');
      return found.length === 2 && !found.some((task) => task.id === victim.id) ? true : undefined;
    });
    const history = (await tasks('web')).filter((task) => task.slot === victim.slot);
    const dead = history.find((task) => task.id === victim.id);
    expect(dead?.status.state).toBe('failed');
    expect(dead?.status.exitCode).toBe(137);
  });

  it('is removed with all its containers', async () => {
    const last = await running('web');
    await remove('web');
    for (const task of last) {
      const host = await hostOf(task);
      expect(await sh(host, `[ -d /proc/${pidOf(task)} ] && echo alive || echo gone`)).toBe('gone');
    }
  });
});

describe('the environment of a service', () => {
  afterAll(() => remove('env'));

  it('reaches the process, and changes with an update', async () => {
    const environment = async (): Promise<string> => {
      const [task] = await untilRunning('env', 1);
      if (task === undefined) throw new Error('no task');
      return sh(await hostOf(task), `tr '\\0' '\\n' < /proc/${pidOf(task)}/environ`);
    };
    const create = [
      'service',
      'create',
      '--name',
      'env',
      '--env',
      'A=1',
      '--env',
      'B=2',
      '--stop-signal',
      'SIGKILL',
    ];
    await ok(...create, BUSYBOX, 'sleep', '1000');
    expect(await environment()).toMatch(/^A=1$/m);
    await ok('service', 'update', '--env-add', 'A=3', '--env-rm', 'B', 'env');
    const after = await environment();
    expect(after).toMatch(/^A=3$/m);
    expect(after).not.toMatch(/^B=/m);
  });
});

describe('limits and reservations', () => {
  afterAll(() => remove('limited', 'oom', 'forks', 'huge'));

  it('puts memory, CPU and pids limits into the cgroup', async () => {
    await ok(
      'service',
      'create',
      '--name',
      'limited',
      '--limit-memory',
      '64M',
      '--limit-cpu',
      '0.5',
      '--limit-pids',
      '50',
      BUSYBOX,
      'sleep',
      '1000',
    );
    const [task] = await untilRunning('limited', 1);
    if (task === undefined) throw new Error('no task');
    expect(await cgroupFile(task, { v1: 'memory/memory.limit_in_bytes', v2: 'memory.max' })).toBe(
      String(64 * MIB),
    );
    expect(await cgroupFile(task, { v1: 'pids/pids.max', v2: 'pids.max' })).toBe('50');
    const quota = await cgroupFile(task, { v1: 'cpu/cpu.cfs_quota_us', v2: 'cpu.max' });
    expect(Number(quota.split(' ')[0])).toBe(50_000);
  });

  it('enforces memory: a greedy task is killed, and says so', async () => {
    await ok(
      'service',
      'create',
      '--detach',
      '--name',
      'oom',
      '--limit-memory',
      '16M',
      '--restart-condition',
      'none',
      BUSYBOX,
      'sh',
      '-c',
      'x=a; while :; do x=$x$x; done',
    );
    const dead = await until('the task to be killed', async () =>
      (await tasks('oom')).find((task) => task.status.state === 'failed'),
    );
    expect(dead.status.exitCode).toBe(137);
    expect(dead.status.error).toMatch(/memory/i);
  });

  it('enforces pids: forks beyond the limit fail', async () => {
    await ok(
      'service',
      'create',
      '--name',
      'forks',
      '--limit-pids',
      '10',
      BUSYBOX,
      'sh',
      '-c',
      '(for i in $(seq 30); do sleep 1000 & done); exec sleep 1000',
    );
    const [task] = await untilRunning('forks', 1);
    if (task === undefined) throw new Error('no task');
    const files = { v1: 'pids/pids.current', v2: 'pids.current' };
    // The shell, its subshell and eight children fill the ten; the ninth child's fork fails, and the
    // subshell with it.
    await until('the refusal of a fork', async () => {
      const { stderr } = await ctl('m1', 'service', 'logs', '--raw', 'forks');
      return stderr.includes("can't fork") ? true : undefined;
    });
    // It says so before it ends.
    await until('the subshell to be gone', async () =>
      Number(await cgroupFile(task, files)) === 9 ? true : undefined,
    );
  });

  it('keeps what fits no node pending, and says why', async () => {
    await ok(
      'service',
      'create',
      '--detach',
      '--name',
      'huge',
      '--reserve-memory',
      '900G',
      BUSYBOX,
      'sleep',
      '1000',
    );
    const pending = await until('a reason', async () =>
      (await tasks('huge')).find(
        (task) => task.status.state === 'pending' && task.status.error !== '',
      ),
    );
    expect(pending.status.error).toMatch(
      /no suitable node.*insufficient (resources|memory) on 5 nodes/,
    );
    expect(await ok('service', 'ps', '--no-trunc', 'huge')).toMatch(/no suitable node/);
  });
});

describe('containers', () => {
  afterAll(() => remove('box'));

  it('have namespaces of their own, a seccomp filter and few capabilities', async () => {
    await ok(
      'service',
      'create',
      '--name',
      'box',
      '--restart-delay',
      '0',
      BUSYBOX,
      'sh',
      '-c',
      'echo out; echo err >&2; exec sleep 1000',
    );
    const [task] = await untilRunning('box', 1);
    if (task === undefined) throw new Error('no task');
    const host = await hostOf(task);
    const pid = pidOf(task);
    for (const kind of ['pid', 'mnt', 'uts', 'ipc', 'net', 'cgroup']) {
      const [mine, theirs] = (
        await sh(host, `readlink /proc/1/ns/${kind} /proc/${pid}/ns/${kind}`)
      ).split('\n');
      expect(theirs, kind).not.toBe(mine);
    }
    const status = await sh(host, `cat /proc/${pid}/status`);
    expect(status).toMatch(/^Seccomp:\s+2$/m);
    expect(status).toMatch(/^CapEff:\s+00000000a80425fb$/m);
    expect(await sh(host, `cat /proc/${pid}/mountinfo`)).toMatch(/ \/ \/ .* - overlay /);
  });

  it('print to where service logs reads', async () => {
    const lines = await until('both lines', async () => {
      const { stdout, stderr } = await ctl('m2', 'service', 'logs', '--raw', 'box');
      return stdout.includes('out') && stderr.includes('err') ? { stdout, stderr } : undefined;
    });
    expect(lines.stdout.trim()).toBe('out');
    expect(lines.stderr.trim()).toBe('err');
  });

  it('live on when the daemon is killed, and are found again', async () => {
    const [before] = await untilRunning('box', 1);
    if (before === undefined) throw new Error('no task');
    const host = await hostOf(before);
    // However busy this machine is: the question is what becomes of containers, not how fast it is back.
    await ok('swarm', 'update', '--node-down-after', '60s');
    for (const signal of ['KILL', 'TERM'] as const) {
      await host.stopService('swarmd', signal);
      expect(await sh(host, `[ -d /proc/${pidOf(before)} ] && echo alive || echo gone`)).toBe(
        'alive',
      );
      await lab.cluster.startDaemon(host);
      await lab.cluster.allReady(lab.host('m2'));
      const [after] = await untilRunning('box', 1);
      expect(after?.id).toBe(before.id);
    }
    await ok('swarm', 'update', '--node-down-after', '3s');
    await host.exec(['kill', '-9', String(pidOf(before))]);
    await until('the death to be seen after the restart', async () => {
      const [now] = await running('box');
      return now !== undefined && now.id !== before.id ? true : undefined;
    });
  });

  it('see their own file system only', async () => {
    const [task] = await untilRunning('box', 1);
    if (task === undefined) throw new Error('no task');
    expect(await inTask(task, 'ls /var/lib/swarmd 2>/dev/null | wc -l')).toBe('0');
    expect(await inTask(task, 'hostname')).not.toBe('');
  });
});
