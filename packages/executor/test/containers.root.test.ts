/** What the kernel and the container itself say of a container; nothing here believes our own words. */
import { readdir, readFile, readlink, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { ContainerRunner, mountOf, sh, signal } from './fixtures/container-runner.ts';
import { busyboxLayer } from './fixtures/registry.ts';
import { ContainerCgroup } from './fixtures/container-cgroup.ts';
import { failuresInside, INSIDE_TIMEOUT_MS, isInside } from './fixtures/private-machine.ts';
import { directory, tarOf } from './fixtures/tar-writer.ts';

it.skipIf(isInside)(
  'runs in a mount namespace of its own',
  { timeout: INSIDE_TIMEOUT_MS },
  async () => expect(await failuresInside(import.meta.url)).toBe(''),
);

describe.runIf(isInside)('containers', () => {
  let runner: ContainerRunner;
  beforeAll(async () => {
    runner = await ContainerRunner.make();
  });
  afterAll(async () => {
    await runner[Symbol.asyncDispose]();
  });

  /** "Name:\tvalue" lines of /proc/PID/status. */
  const statusOf = async (pid: number, name: string): Promise<string> =>
    new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(
      await readFile(`/proc/${pid}/status`, 'utf8'),
    )?.[1] ?? '';
  it('have namespaces of their own, and the network namespace they were given', async () => {
    await runner.whileRunning({}, async (pid) => {
      for (const kind of ['pid', 'mnt', 'uts', 'ipc', 'cgroup', 'net']) {
        const own = await readlink(`/proc/self/ns/${kind}`);
        expect(await readlink(`/proc/${pid}/ns/${kind}`), kind).not.toBe(own);
      }
      const { ino } = await stat(`/run/netns/${runner.machine.name}`);
      expect(await readlink(`/proc/${pid}/ns/net`)).toBe(`net:[${ino}]`);
    });
  });

  it('run on a plain copy of their image where there is no overlayfs, and take it with them', async () => {
    await using plain = await runner.machine.executor({
      storageDriver: 'vfs',
      stateDir: join(runner.machine.folder, 'vfs'),
      runDir: join(runner.machine.folder, 'vfs-run'),
      cgroupParent: `${runner.machine.cgroupParent}-vfs`,
    });
    const request = runner.machine.request('vfs', { command: ['/bin/sleep', '1000'] });
    await plain.pull(request.spec.image, signal());
    await plain.prepare(request, signal());
    const { pid } = await plain.start('vfs', signal());
    const mounts = await readFile(`/proc/${pid}/mountinfo`, 'utf8');
    expect(mounts.split('\n').filter((line) => line.includes(' - overlay '))).toEqual([]);
    const { output } = await plain.exec(
      'vfs',
      { argv: ['/bin/cat', '/home/app/readme'], timeoutMs: 10_000 },
      signal(),
    );
    expect(output).toBe('from the image\n');
    await plain.remove('vfs', signal());
    expect(await readdir(join(runner.machine.folder, 'vfs/containers'))).toEqual([]);
  });

  it('are created however late their monitor tells its pid', async () => {
    const conmonPath = join(runner.machine.folder, 'late-conmon');
    // The file gets another name, and its own when the container has been there for a while.
    const late = String.raw`#!/bin/sh
      for word; do case "$word" in */conmon.pid) file=$word; word=$word.early;; esac
        set -- "$@" "$word"; shift
      done
      /usr/bin/conmon "$@" || exit $?
      sleep 0.5; exec mv "$file.early" "$file"`;
    await writeFile(conmonPath, late, { mode: 0o755 });
    await using executor = await runner.machine.executor({
      conmonPath,
      runDir: join(runner.machine.folder, 'late-run'),
      stateDir: join(runner.machine.folder, 'late'),
      cgroupParent: `${runner.machine.cgroupParent}-late`,
    });
    const request = runner.machine.request('late', { command: ['/bin/sleep', '1000'] });
    await executor.pull(request.spec.image, signal());
    await executor.prepare(request, signal());
    await executor.start('late', signal());
    await executor.stop('late', { graceMs: 0, signal: signal() });
    expect((await executor.wait('late', signal())).error).toBe('');
    await executor.remove('late', signal());
  });

  it('are confined: default capabilities, seccomp filter', async () => {
    await runner.whileRunning({}, async (pid) => {
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
    await runner.whileRunning({ spec }, async (pid) => {
      const effective = BigInt(`0x${await statusOf(pid, 'CapEff')}`);
      expect(effective & NET_ADMIN).toBe(NET_ADMIN);
      expect(effective & CHOWN).toBe(0n);
    });
  });

  it('cannot mount, make namespaces, use devices of the machine or change the kernel', async () => {
    const said = await runner.output(
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
    await runner.whileRunning({ limits }, async (pid) => {
      const cgroup = await ContainerCgroup.of(pid);
      expect(cgroup.path).toContain(runner.machine.cgroupParent);
      expect(await cgroup.limits()).toEqual({
        memory: String(limits.memoryBytes),
        swap: 'none',
        cpu: '25000 100000',
        pids: '12',
      });
    });
  });

  it('run with as little memory as a service may ask for', async () => {
    const limits = { memoryBytes: 4 * 1024 * 1024, nanoCpus: 0, pids: 0 };
    expect(await runner.output(sh('echo small'), { limits })).toBe('small');
  });

  it('are killed when they take more memory than they may, and that is known', async () => {
    const limits = { memoryBytes: 16 * 1024 * 1024, nanoCpus: 0, pids: 0 };
    const { exit } = await runner.runToEnd(sh('x=a; while :; do x=$x$x$x$x; done'), { limits });
    expect(exit).toEqual({ code: 137, oomKilled: true, error: '' });
  });

  it('cannot start more processes than they may', async () => {
    const limits = { memoryBytes: 0, nanoCpus: 0, pids: 5 };
    const said = await runner.output(
      sh('for i in 1 2 3 4 5 6 7 8 9; do sleep 5 & done; echo unreachable'),
      { limits },
    );
    expect(said).toMatch(/can't fork|Resource temporarily unavailable/);
  });

  it('see the image, the spec and the engine in their environment, in this order', async () => {
    runner.machine.registry.putImage('env:1', [tarOf([])], {
      config: {
        Env: ['FROM=image', 'GONE=1', 'BOTH=image'],
        Entrypoint: ['/bin/env'],
        WorkingDir: '/made/here',
      },
    });
    const image = `${runner.machine.registry.host}/env:1`;
    await runner.executor.pull(image, signal());
    // The image has no files: the program comes from a mount.
    const program = mountOf({
      kind: 'bind',
      source: '/bin/busybox',
      target: '/bin/env',
      readOnly: true,
    });
    const env = ['BOTH=spec', 'GONE', 'NEW=a=b'];
    const said = await runner.output({ image, env, mounts: [program] });
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

  it('see the root directory as their image has it', async () => {
    const layer = tarOf([directory('./', { mode: 0o711, uid: 3 })]);
    runner.machine.registry.putImage('root:1', [busyboxLayer(), layer]);
    const image = `${runner.machine.registry.host}/root:1`;
    await runner.executor.pull(image, signal());
    expect(await runner.output({ ...sh("stat -c '%u %a' /"), image })).toBe('3 711');
  });

  it.each([
    ['app', 'uid=1000(app) gid=1000(app) groups=10(wheel),44(extra),1000(app)'],
    ['app:wheel', 'uid=1000(app) gid=10(wheel) groups=10(wheel)'],
    ['1234:5678', 'uid=1234 gid=5678 groups=5678'],
    ['', 'uid=0(root) gid=0(root) groups=0(root)'],
  ])('run as user "%s" of the image', async (user, wanted) => {
    const said = await runner.output({ ...sh('id; pwd; echo $HOME'), user, dir: '/tmp' });
    const [id = '', cwd, home] = said.split('\n');
    expect(id).toBe(wanted);
    expect([cwd, home]).toEqual([
      '/tmp',
      user.startsWith('app') ? '/home/app' : user === '' ? '/root' : '/',
    ]);
  });

  it('are refused for users the image does not know', async () => {
    const request = runner.machine.request('nouser', { ...sh('id'), user: 'nosuch' });
    await expect(runner.executor.prepare(request, signal())).rejects.toThrow(
      /"nosuch" is not in the image's/,
    );
    expect(await runner.machine.mounts()).toEqual([]);
  });

  it('know their name, their addresses and their nameservers', async () => {
    const said = await runner.output({
      ...sh('hostname; cat /etc/hostname /etc/hosts /etc/resolv.conf'),
      hosts: ['10.1.1.1 db'],
    });
    expect(said).toMatch(/^testhost\ntesthost\n/);
    expect(said).toContain('10.9.8.7\ttesthost');
    expect(said).toContain('10.1.1.1 db');
    expect(said).toContain('nameserver 10.9.8.1');
  });

  it('can have an init process that reaps', async () => {
    const said = await runner.output({ ...sh('cat /proc/1/cmdline | tr "\\0" " "'), init: true });
    expect(said).toContain('/dev/init -- /bin/sh');
  });

  it('can have a terminal', async () => {
    const said = await runner.output({ ...sh('[ -t 1 ] && echo terminal $TERM'), tty: true });
    expect(said).toContain('terminal xterm');
  });

  it('can change kernel settings of their network', async () => {
    const said = await runner.output({
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
    const request = runner.machine.request('refused', { ...sh('true'), ...spec });
    await expect(runner.executor.prepare(request, signal())).rejects.toThrow(message);
    expect(await runner.machine.mounts()).toEqual([]);
    await expect(stat(join(runner.machine.stateDir, 'containers', 'refused'))).rejects.toThrow(
      'ENOENT',
    );
    await expect(stat(join(runner.machine.runDir, 'b', 'refused'))).rejects.toThrow('ENOENT');
  });

  it('are executed into with a deadline that ends the program', async () => {
    await runner.whileRunning({}, async (_, id) => {
      const result = await runner.executor.exec(
        id,
        { argv: ['/bin/sleep', '500'], timeoutMs: 300 },
        signal(),
      );
      expect(result.timedOut).toBe(true);
      const { output: listed } = await runner.executor.exec(
        id,
        { argv: ['/bin/ps'], timeoutMs: 10_000 },
        signal(),
      );
      expect(listed).not.toContain('sleep 500');
      expect(listed).toContain('sleep 1000');
    });
  });

  it('leave nothing behind', async () => {
    expect(await runner.machine.leftInTheEnd()).toEqual([]);
  });
});
