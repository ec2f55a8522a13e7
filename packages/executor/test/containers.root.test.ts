/** What the kernel and the container itself say of a container; nothing here believes our own words. */
import { mkdir, readFile, readlink, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { sleep } from '@swarmd/base';
import { systemClock } from '@swarmd/base/system';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { ContainerRequest, Executor } from '../src/index.ts';
import { text } from './conformance.ts';
import {
  failuresInside,
  INSIDE_TIMEOUT_MS,
  isInside,
  PrivateMachine,
} from './fixtures/private-machine.ts';
import { directory, file, tarOf } from './fixtures/tar-writer.ts';

const signal = (): AbortSignal => AbortSignal.timeout(25_000);

it.skipIf(isInside)(
  'runs in a mount namespace of its own',
  { timeout: INSIDE_TIMEOUT_MS },
  async () => expect(await failuresInside(import.meta.url)).toBe(''),
);

describe.runIf(isInside)('containers', () => {
  let machine: PrivateMachine;
  let executor: Executor & AsyncDisposable;
  let ids = 0;
  beforeAll(async () => {
    machine = await PrivateMachine.make();
    executor = await machine.executor();
    await executor.pull(machine.image, signal());
  });
  afterAll(async () => {
    await machine[Symbol.asyncDispose]();
  });

  type Spec = Partial<ContainerRequest['spec']>;
  const sh = (script: string): Spec => ({ command: ['/bin/sh', '-c', script] });

  /** Runs to the end. @returns exit and everything printed. */
  const runToEnd = async (spec: Spec, more: Partial<ContainerRequest> = {}) => {
    const id = `c${(ids += 1)}`;
    await executor.prepare(machine.request(id, spec, more), signal());
    await executor.start(id, signal());
    const exit = await executor.wait(id, signal());
    const lines = await Array.fromAsync(executor.logs(id, { follow: false }, signal()));
    await executor.remove(id, signal());
    return { exit, output: lines.map(text).join('\n') };
  };
  const output = async (spec: Spec, more: Partial<ContainerRequest> = {}): Promise<string> =>
    (await runToEnd(spec, more)).output;
  /** Runs `look` on this machine while the container sleeps. */
  const whileRunning = async <T>(
    spec: Spec,
    more: Partial<ContainerRequest>,
    look: (pid: number, id: string) => Promise<T>,
  ): Promise<T> => {
    const id = `c${(ids += 1)}`;
    await executor.prepare(
      machine.request(id, { ...sh('exec sleep 1000'), ...spec }, more),
      signal(),
    );
    const { pid } = await executor.start(id, signal());
    try {
      return await look(pid, id);
    } finally {
      await executor.remove(id, signal());
    }
  };
  const exists = (path: string): Promise<boolean> =>
    stat(path).then(
      () => true,
      () => false,
    );
  const until = async (condition: () => Promise<boolean>): Promise<void> => {
    const deadline = signal();
    while (!(await condition())) await sleep(systemClock, 20, deadline);
  };
  /** "Name:\tvalue" lines of /proc/PID/status. */
  const statusOf = async (pid: number, name: string): Promise<string> =>
    new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(
      await readFile(`/proc/${pid}/status`, 'utf8'),
    )?.[1] ?? '';
  /** A file of the container's cgroup, version 1. */
  const cgroupFile = async (pid: number, controller: string, name: string): Promise<string> => {
    const cgroups = await readFile(`/proc/${pid}/cgroup`, 'utf8');
    const path =
      new RegExp(`^\\d+:(?:[^:]*,)?${controller}(?:,[^:]*)?:(.*)$`, 'm').exec(cgroups)?.[1] ?? '';
    expect(path).toContain(machine.cgroupParent);
    return (await readFile(join('/sys/fs/cgroup', controller, path, name), 'utf8')).trim();
  };

  it('have namespaces of their own, and the network namespace they were given', async () => {
    await whileRunning({}, {}, async (pid) => {
      for (const kind of ['pid', 'mnt', 'uts', 'ipc', 'cgroup', 'net']) {
        const own = await readlink(`/proc/self/ns/${kind}`);
        expect(await readlink(`/proc/${pid}/ns/${kind}`), kind).not.toBe(own);
      }
      const { ino } = await stat(`/run/netns/${machine.name}`);
      expect(await readlink(`/proc/${pid}/ns/net`)).toBe(`net:[${ino}]`);
    });
  });

  it('are confined: default capabilities, seccomp filter', async () => {
    await whileRunning({}, {}, async (pid) => {
      expect(await statusOf(pid, 'CapEff')).toBe('00000000a80425fb');
      expect(await statusOf(pid, 'CapBnd')).toBe('00000000a80425fb');
      expect(await statusOf(pid, 'CapInh')).toBe('0000000000000000');
      expect(await statusOf(pid, 'Seccomp')).toBe('2');
    });
  });

  it('get and lose capabilities by name', async () => {
    const NET_ADMIN = 1n << 12n;
    const CHOWN = 1n << 0n;
    const spec = { capabilityAdd: ['net_admin'], capabilityDrop: ['CAP_CHOWN'] };
    await whileRunning(spec, {}, async (pid) => {
      const effective = BigInt(`0x${await statusOf(pid, 'CapEff')}`);
      expect(effective & NET_ADMIN).toBe(NET_ADMIN);
      expect(effective & CHOWN).toBe(0n);
    });
  });

  it('cannot mount, make namespaces, use devices of the machine or change the kernel', async () => {
    const said = await output(
      sh(`mount -t tmpfs x /tmp; echo mount $?; unshare -m true; echo unshare $?
        mknod /tmp/d b 254 0; head -c1 /tmp/d; echo device $?; head -c1 /proc/kcore | wc -c
        echo 1 >/proc/sys/kernel/panic; echo sysctl $?; echo x >/dev/null; echo null $?`),
    );
    expect(said).toMatch(/mount [1-9]/);
    expect(said).toMatch(/unshare [1-9]/);
    expect(said).toMatch(/device [1-9]/);
    expect(said).toMatch(/sysctl [1-9]/);
    expect(said).toMatch(/null 0/);
  });

  it('are limited in memory, swap, CPU and processes by the kernel', async () => {
    const limits = { memoryBytes: 32 * 1024 * 1024, nanoCpus: 250_000_000, pids: 12 };
    await whileRunning({}, { limits }, async (pid) => {
      expect(await cgroupFile(pid, 'memory', 'memory.limit_in_bytes')).toBe(
        String(limits.memoryBytes),
      );
      expect(await cgroupFile(pid, 'memory', 'memory.memsw.limit_in_bytes')).toBe(
        String(limits.memoryBytes),
      );
      expect(await cgroupFile(pid, 'cpu', 'cpu.cfs_quota_us')).toBe('25000');
      expect(await cgroupFile(pid, 'cpu', 'cpu.cfs_period_us')).toBe('100000');
      expect(await cgroupFile(pid, 'pids', 'pids.max')).toBe('12');
    });
  });

  it('are killed when they take more memory than they may, and that is known', async () => {
    const limits = { memoryBytes: 16 * 1024 * 1024, nanoCpus: 0, pids: 0 };
    const { exit } = await runToEnd(sh('x=a; while :; do x=$x$x$x$x; done'), { limits });
    expect(exit).toEqual({ code: 137, oomKilled: true, error: '' });
  });

  it('cannot start more processes than they may', async () => {
    const limits = { memoryBytes: 0, nanoCpus: 0, pids: 5 };
    const said = await output(
      sh('for i in 1 2 3 4 5 6 7 8 9; do sleep 5 & done; echo unreachable'),
      { limits },
    );
    expect(said).toMatch(/can't fork|Resource temporarily unavailable/);
  });

  it('see the image, the spec and the engine in their environment, in this order', async () => {
    machine.registry.putImage('env:1', [tarOf([])], {
      config: {
        Env: ['FROM=image', 'GONE=1', 'BOTH=image'],
        Entrypoint: ['/bin/env'],
        WorkingDir: '/made/here',
      },
    });
    const image = `${machine.registry.host}/env:1`;
    await executor.pull(image, signal());
    // The image has no files: the program comes from a mount.
    const mounts = [
      { kind: 'bind', source: '/bin/busybox', target: '/bin/env' },
    ] as ContainerRequest['spec']['mounts'];
    const said = await output({
      image,
      env: ['BOTH=spec', 'GONE', 'NEW=a=b'],
      mounts: mounts.map((mount) => ({ ...mount, readOnly: true })),
    });
    expect(said.split('\n').sort()).toEqual(
      [
        'BOTH=spec',
        'FROM=image',
        'HOME=/',
        'HOSTNAME=testhost',
        'NEW=a=b',
        'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      ].sort(),
    );
  });

  it.each([
    ['app', 'uid=1000(app) gid=1000(app) groups=10(wheel),44(extra),1000(app)'],
    ['app:wheel', 'uid=1000(app) gid=10(wheel) groups=10(wheel)'],
    ['1234:5678', 'uid=1234 gid=5678 groups=5678'],
    ['', 'uid=0(root) gid=0(root) groups=0(root)'],
  ])('run as user "%s" of the image', async (user, wanted) => {
    const said = await output({ ...sh('id; pwd; echo $HOME'), user, dir: '/tmp' });
    const [id = '', cwd, home] = said.split('\n');
    expect(id).toBe(wanted);
    expect([cwd, home]).toEqual([
      '/tmp',
      user.startsWith('app') ? '/home/app' : user === '' ? '/root' : '/',
    ]);
  });

  it('are refused for users the image does not know', async () => {
    const request = machine.request('nouser', { ...sh('id'), user: 'nosuch' });
    await expect(executor.prepare(request, signal())).rejects.toThrow(
      /"nosuch" is not in the image's/,
    );
    expect(await machine.mounts()).toEqual([]);
  });

  it('know their name, their addresses and their nameservers', async () => {
    const said = await output({
      ...sh('hostname; cat /etc/hostname /etc/hosts /etc/resolv.conf'),
      hosts: ['10.1.1.1 db'],
    });
    expect(said).toMatch(/^testhost\ntesthost\n/);
    expect(said).toContain('10.9.8.7\ttesthost');
    expect(said).toContain('10.1.1.1 db');
    expect(said).toContain('nameserver 10.9.8.1');
  });

  it('get secrets and configs on memory, read-only, with owner and mode', async () => {
    const files = [
      { path: '/run/secrets/key', data: Buffer.from('s3cret'), uid: 1000, gid: 10, mode: 0o400 },
      { path: '/etc/app/deep/config', data: Buffer.from('plain'), uid: 0, gid: 0, mode: 0o444 },
    ];
    const said = await output(
      sh(`cat /run/secrets/key /etc/app/deep/config; echo; stat -c '%u:%g %a' /run/secrets/key /etc/app/deep/config
        stat -f -c %T /run/secrets/key; echo x >>/run/secrets/key || echo refused`),
      { files },
    );
    expect(said).toContain('s3cretplain\n1000:10 400\n0:0 444\ntmpfs\n');
    expect(said).toContain('refused');
  });

  it('have the mounts of their spec', async () => {
    const source = join(machine.folder, 'source');
    await mkdir(source);
    await writeFile(join(source, 'file'), 'from the machine');
    const common = { source: '', readOnly: false, tmpfsSizeBytes: 0, tmpfsMode: 0o1777 };
    const mounts = [
      { ...common, kind: 'bind' as const, source, target: '/ro', readOnly: true },
      { ...common, kind: 'bind' as const, source, target: '/rw' },
      {
        ...common,
        kind: 'tmpfs' as const,
        target: '/mem',
        tmpfsSizeBytes: 1024 * 1024,
        tmpfsMode: 0o700,
      },
    ];
    const said = await output({
      ...sh(`cat /ro/file; echo; touch /ro/x || echo read-only; echo new >/rw/new; stat -c %a /mem
        dd if=/dev/zero of=/mem/big bs=1M count=3 2>&1 | grep -o 'No space.*'`),
      mounts,
    });
    expect(said.split('\n')).toEqual(
      expect.arrayContaining(['from the machine', 'read-only', '700', 'No space left on device']),
    );
    expect(await readFile(join(source, 'new'), 'utf8')).toBe('new\n');
  });

  it('are refused for a bind source that is not there', async () => {
    const mount = {
      kind: 'bind' as const,
      source: '/no/such',
      target: '/x',
      readOnly: false,
      tmpfsSizeBytes: 0,
      tmpfsMode: 0,
    };
    const request = machine.request('nobind', { ...sh('id'), mounts: [mount] });
    await expect(executor.prepare(request, signal())).rejects.toThrow(
      '/no/such does not exist on this node',
    );
  });

  it('share a named volume, which begins with what the image has', async () => {
    const mount = {
      kind: 'volume' as const,
      source: 'home',
      target: '/home/app',
      readOnly: false,
      tmpfsSizeBytes: 0,
      tmpfsMode: 0,
    };
    const spec = { mounts: [mount], user: 'app' };
    const first = await output({
      ...sh(`cat /home/app/readme; stat -c '%u %a' /home/app; echo kept >/home/app/new`),
      ...spec,
    });
    expect(first).toBe('from the image\n1000 750');
    expect(await output({ ...sh('cat /home/app/new'), ...spec })).toBe('kept');
  });

  it('get a volume of their own where the image declares one', async () => {
    machine.registry.putImage('volume:1', [tarOf([directory('data'), file('data/seed', 'seed')])], {
      config: { Volumes: { '/data': {} }, Entrypoint: ['/busybox'] },
    });
    const image = `${machine.registry.host}/volume:1`;
    await executor.pull(image, signal());
    const bind = {
      kind: 'bind' as const,
      source: '/bin/busybox',
      target: '/busybox',
      readOnly: true,
      tmpfsSizeBytes: 0,
      tmpfsMode: 0,
    };
    const said = await output({
      image,
      args: ['grep', ' /data ', '/proc/self/mountinfo'],
      mounts: [bind],
    });
    expect(said).toContain('/volumes/');
    expect(await output({ image, args: ['cat', '/data/seed'], mounts: [bind] })).toBe('seed');
  });

  it('can have a root that cannot be written', async () => {
    const said = await output({
      ...sh(
        'touch /x || echo refused; touch /etc/hosts || echo refused; touch /dev/shm/ok && echo ok',
      ),
      readOnly: true,
    });
    expect(said.split('\n').filter((line) => ['refused', 'ok'].includes(line))).toEqual([
      'refused',
      'refused',
      'ok',
    ]);
  });

  it('can have an init process that reaps', async () => {
    const said = await output({ ...sh('cat /proc/1/cmdline | tr "\\0" " "'), init: true });
    expect(said).toContain('/dev/init -- /bin/sh');
  });

  it('can have a terminal', async () => {
    const said = await output({ ...sh('[ -t 1 ] && echo terminal $TERM'), tty: true });
    expect(said).toContain('terminal xterm');
  });

  it('can change kernel settings of their network', async () => {
    const said = await output({
      ...sh('cat /proc/sys/net/ipv4/ip_default_ttl'),
      sysctls: { 'net.ipv4.ip_default_ttl': '77' },
    });
    expect(said).toBe('77');
  });

  it.each([
    ['a program that is not there', { command: ['/nope'] }, /\/nope/],
    ['a capability that is none', { capabilityAdd: ['FLY'] }, /"FLY" is not a capability/],
    ['a signal that is none', { stopSignal: 'SIGNOPE' }, /"SIGNOPE" is not a signal/],
    ['a setting of the kernel that is not theirs', { sysctls: { 'kernel.panic': '1' } }, /kernel/],
  ])('are refused for %s, and leave nothing', async (_, spec, message) => {
    const request = machine.request('refused', { ...sh('true'), ...spec });
    await expect(executor.prepare(request, signal())).rejects.toThrow(message);
    expect(await machine.mounts()).toEqual([]);
    await expect(stat(join(machine.stateDir, 'containers', 'refused'))).rejects.toThrow('ENOENT');
    await expect(stat(join(machine.runDir, 'b', 'refused'))).rejects.toThrow('ENOENT');
  });

  it('are executed into with a deadline that ends the program', async () => {
    await whileRunning({}, {}, async (_, id) => {
      const result = await executor.exec(
        id,
        { argv: ['/bin/sleep', '500'], timeoutMs: 300 },
        signal(),
      );
      expect(result.timedOut).toBe(true);
      const { output: listed } = await executor.exec(
        id,
        { argv: ['/bin/ps'], timeoutMs: 10_000 },
        signal(),
      );
      expect(listed).not.toContain('sleep 500');
      expect(listed).toContain('sleep 1000');
    });
  });

  it('lose no line of their log to its rotation', { timeout: 60_000 }, async () => {
    const MANY = 300_000;
    const bind = {
      kind: 'bind' as const,
      source: machine.folder,
      target: '/machine',
      readOnly: true,
      tmpfsSizeBytes: 0,
      tmpfsMode: 0,
    };
    const script = `seq 1 ${MANY}; while ! [ -e /machine/go ]; do usleep 5000; done; seq ${MANY + 1} ${MANY + 9}`;
    await whileRunning({ ...sh(script), mounts: [bind] }, {}, async (_, id) => {
      const deadline = AbortSignal.timeout(50_000);
      let expected = 1;
      let wrong = 0;
      for await (const line of executor.logs(id, { follow: true }, deadline)) {
        if (text(line) !== String(expected)) wrong += 1;
        expected += 1;
        if (expected !== MANY + 1) continue;
        await until(() => exists(join(machine.stateDir, 'logs', id, 'log.1')));
        await writeFile(join(machine.folder, 'go'), '');
      }
      expect({ lines: expected - 1, wrong }).toEqual({ lines: MANY + 9, wrong: 0 });
    });
  });

  it('are given up cleanly when nobody wants them any more', async () => {
    for (const afterMs of [1, 15, 40, 80]) {
      const controller = new AbortController();
      const giveUp = systemClock.after(afterMs, () => controller.abort());
      const outcome = await executor
        .prepare(machine.request('unwanted', sh('true')), controller.signal)
        .catch(() => 'given up');
      giveUp.cancel();
      if (outcome === undefined) await executor.remove('unwanted', signal());
      expect(await machine.leftovers()).toEqual([]);
    }
  });

  it('leave nothing behind', async () => {
    expect(await machine.leftovers()).toEqual([]);
  });
});
