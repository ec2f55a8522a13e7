/** What specs can ask of a container beyond the defaults, as the kernel and the container see it. */
import { createServer, type Server } from 'node:http';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { deviceEdits } from '../src/container/devices.ts';
import { ContainerRunner, mountOf, sh, signal, until } from './fixtures/container-runner.ts';
import { ContainerCgroup } from './fixtures/container-cgroup.ts';
import { failuresInside, INSIDE_TIMEOUT_MS, isInside } from './fixtures/private-machine.ts';

it.skipIf(isInside)(
  'runs in a mount namespace of its own',
  { timeout: INSIDE_TIMEOUT_MS },
  async () => expect(await failuresInside(import.meta.url)).toBe(''),
);

describe.runIf(isInside)('containers that ask for more', () => {
  let runner: ContainerRunner;
  beforeAll(async () => {
    runner = await ContainerRunner.make();
  });
  afterAll(async () => {
    await runner[Symbol.asyncDispose]();
  });
  const MIB = 1024 * 1024;
  const LIMITS = { nanoCpus: 0, memoryBytes: 0, pids: 0 };

  it('get limits of processes, a score, groups, /dev/shm and resolvers', async () => {
    const said = await runner.output({
      ...sh(
        'ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj; id -G; df -k /dev/shm; cat /etc/resolv.conf',
      ),
      ulimits: [{ name: 'nofile', soft: 100, hard: 200 }],
      oomScoreAdj: 321,
      groups: ['777'],
      shmSizeBytes: 3 * 1024 * 1024,
    });
    expect(said).toMatch(/^100\n200\n321\n0 777\n/);
    expect(said).toMatch(/ 3072 /);
    expect(said).toContain('nameserver 10.9.8.1\noptions ndots:0');
  });

  it('gain nothing by setuid programs when told so', async () => {
    await runner.whileRunning({ spec: { noNewPrivileges: true } }, async (pid) => {
      expect(await readFile(`/proc/${pid}/status`, 'utf8')).toMatch(/^NoNewPrivs:\s1$/m);
    });
  });

  it.each([
    ['unconfined', /^Seccomp:\s0$/m],
    [
      JSON.stringify({
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO' }],
      }),
      /^Seccomp:\s2$/m,
    ],
  ])('run with the seccomp profile %s', async (seccomp, status) => {
    await runner.whileRunning({ spec: { seccomp } }, async (pid) => {
      expect(await readFile(`/proc/${pid}/status`, 'utf8')).toMatch(status);
    });
    const made = await runner.output({ ...sh('mkdir /x && echo made || echo refused'), seccomp });
    expect(made).toContain(seccomp === 'unconfined' ? 'made' : 'refused');
  });

  it('may do everything when privileged', async () => {
    const said = await runner.output({
      ...sh('mount -t tmpfs x /tmp && echo mounted; grep Seccomp: /proc/self/status'),
      privileged: true,
    });
    expect(said).toMatch(/mounted\nSeccomp:\s0/);
  });

  it('get devices by path and by their CDI name', async () => {
    const said = await runner.output({
      ...sh(
        'ls -l /dev/of-mine; : < /dev/of-mine && echo readable; (: > /dev/of-mine) || echo guarded',
      ),
      devices: ['/dev/fuse:/dev/of-mine:r'],
    });
    expect(said).toMatch(/10, +229 .*\/dev\/of-mine\nreadable\n/);
    expect(said).toMatch(/guarded/);
    const folder = join(runner.machine.folder, 'cdi');
    await mkdir(folder);
    const edits = { deviceNodes: [{ path: '/dev/gpu0', hostPath: '/dev/full' }], env: ['GPU=0'] };
    const file = {
      cdiVersion: '0.6.0',
      kind: 'acme.com/gpu',
      devices: [{ name: '0', containerEdits: edits }],
    };
    await writeFile(join(folder, 'acme.json'), JSON.stringify(file));
    expect(await deviceEdits(['acme.com/gpu=0'], [folder])).toEqual({
      devices: [{ path: '/dev/gpu0', type: 'c', major: 1, minor: 7, access: 'rwm' }],
      mounts: [],
      env: ['GPU=0'],
    });
    for (const missing of ['acme.com/gpu=1', '/dev/no-such', '/etc/hostname']) {
      await expect(deviceEdits([missing], [folder])).rejects.toMatchObject({
        code: 'failed-precondition',
      });
    }
    await rm(folder, { recursive: true });
  });

  it('have their limits changed while they run, and taken away', async () => {
    const limits = { ...LIMITS, memoryBytes: 64 * MIB, pids: 20 };
    const offered = readFile('/sys/fs/cgroup/cgroup.controllers', 'utf8');
    // Version 1 has it wherever there is more than one processor.
    const canChooseCpus = (await offered.catch(() => 'cpuset')).includes('cpuset');
    await runner.whileRunning({ limits }, async (pid, id) => {
      const { executor } = runner;
      const cgroup = await ContainerCgroup.of(pid);
      const changed = { nanoCpus: 5e8, memoryBytes: 96 * MIB, pids: 33, cpuShares: 512 };
      const cpuSet = canChooseCpus ? { cpuSet: '0' } : {};
      await executor.update(id, { ...changed, ...cpuSet });
      const now = { memory: String(changed.memoryBytes), cpu: '50000 100000', pids: '33' };
      expect(await cgroup.limits()).toMatchObject(now);
      const status = await readFile(`/proc/${pid}/status`, 'utf8');
      expect(status).toMatch(canChooseCpus ? /^Cpus_allowed_list:\t0$/m : /^Cpus_allowed_list:/m);
      const tooLow = executor.update(id, { ...changed, memoryBytes: 4096 });
      await expect(tooLow).rejects.toMatchObject({
        code: 'failed-precondition',
        message: expect.stringMatching(/^it uses 1 MiB of memory, more than the new limit/),
      });
      const noCpu = executor.update(id, { ...changed, cpuSet: '777' });
      await expect(noCpu).rejects.toThrow('the kernel does not take "777" for cpuset.cpus');
      expect(await cgroup.limits()).toMatchObject(now);
      await executor.update(id, LIMITS);
      const none = await cgroup.limits();
      expect({ ...none, memory: none.memory.length > 15 ? 'max' : none.memory }).toMatchObject({
        memory: 'max',
        cpu: expect.stringMatching(/^(-1|max) 100000$/),
        pids: 'max',
      });
    });
  });

  it('have a weight at disks, in whichever files the kernel has', async ({ skip }) => {
    await runner.whileRunning({ limits: { ...LIMITS, ioWeight: 300 } }, async (pid, id) => {
      const cgroup = await ContainerCgroup.of(pid);
      const wanted = (of: Record<string, string>, there: Record<string, string>) =>
        Object.fromEntries(Object.entries(of).filter(([file]) => file in there));
      const first = await cgroup.ioWeights();
      skip(Object.keys(first).length === 0, 'this kernel knows no weights of disks');
      expect(first).toEqual(
        wanted(
          {
            'blkio.weight': '300',
            'blkio.bfq.weight': '300',
            'io.bfq.weight': 'default 300',
            'io.weight': 'default 2930',
          },
          first,
        ),
      );
      await runner.executor.update(id, { ...LIMITS, ioWeight: 1_000 });
      expect(await cgroup.ioWeights()).toEqual(
        wanted(
          {
            'blkio.weight': '1000',
            'blkio.bfq.weight': '1000',
            'io.bfq.weight': 'default 1000',
            'io.weight': 'default 10000',
          },
          first,
        ),
      );
      await runner.executor.update(id, LIMITS);
      expect(await cgroup.ioWeights()).toEqual(
        wanted(
          {
            'blkio.weight': '500',
            'blkio.bfq.weight': '100',
            'io.bfq.weight': 'default 100',
            'io.weight': 'default 100',
          },
          first,
        ),
      );
    });
  });

  it('run side by side with another runtime', async () => {
    const executor = await runner.machine.executor({ runtimes: { runc: '/usr/sbin/runc' } });
    const request = runner.machine.request('of-runc', {
      ...sh('echo up; exec sleep 900'),
      runtime: 'runc',
    });
    await executor.prepare(request, signal());
    await executor.start('of-runc', signal());
    const exec = { argv: ['/bin/sh', '-c', 'exit 3'], timeoutMs: 20_000 };
    expect(await executor.exec('of-runc', exec, signal())).toMatchObject({ code: 3 });
    await executor.stop('of-runc', { graceMs: 0, signal: signal() });
    expect(await executor.wait('of-runc', signal())).toMatchObject({ code: 137 });
    await executor.remove('of-runc', signal());
    const unknown = runner.machine.request('of-nobody', { runtime: 'nobody' });
    await expect(executor.prepare(unknown, signal())).rejects.toMatchObject({
      code: 'failed-precondition',
    });
    // The default has a name as well: whoever says it means what everybody gets.
    const named = executor.plugins().filter(({ kind }) => kind === 'runtime');
    expect(named.map(({ name }) => name)).toEqual(['crun', 'runc']);
    const plain = runner.machine.request('of-crun', { ...sh('exit 4'), runtime: 'crun' });
    await executor.prepare(plain, signal());
    await executor.start('of-crun', signal());
    expect(await executor.wait('of-crun', signal())).toMatchObject({ code: 4 });
    await executor.remove('of-crun', signal());
    expect((await runner.machine.leftovers()).filter((left) => left.includes('of-'))).toEqual([]);
  });

  describe('of volumes', () => {
    let plugin: Server;
    const calls: string[] = [];
    afterAll(() => new Promise((resolve) => void plugin.close(resolve)));

    it('use a part of one, what mount(8) makes of options, and what a plugin gives them', async () => {
      const { volumes } = runner.executor;
      const write = mountOf({ kind: 'volume', source: 'whole', target: '/v', labels: { a: 'b' } });
      await runner.output({ ...sh('mkdir -p /v/sub; echo deep > /v/sub/f'), mounts: [write] });
      const part = mountOf({ kind: 'volume', source: 'whole', target: '/p', subpath: 'sub' });
      expect(await runner.output({ ...sh('cat /p/f'), mounts: [part] })).toBe('deep');
      const none = { ...part, subpath: 'none' };
      await expect(runner.output({ ...sh('true'), mounts: [none] })).rejects.toMatchObject({
        code: 'failed-precondition',
      });
      const options = { type: 'tmpfs', device: 'tmpfs', o: 'size=2m,uid=7' };
      const special = mountOf({
        kind: 'volume',
        source: 'special',
        target: '/t',
        driverOptions: options,
      });
      const said = await runner.output({
        ...sh('df -k /t | tail -1; stat -c %u /t'),
        mounts: [special],
      });
      expect(said).toMatch(/ 2048 [^]*\n7$/);
      expect((await runner.machine.mounts()).filter((path) => path.includes('special'))).toEqual(
        [],
      );
      expect((await volumes.list()).map(({ name, labels, used }) => [name, labels, used])).toEqual([
        ['special', {}, false],
        ['whole', { a: 'b' }, false],
      ]);
      await volumes.remove('special');
    });

    it('of a plugin are mounted and given back by it', async () => {
      const folder = join(runner.machine.folder, 'plugins');
      const data = join(runner.machine.folder, 'plugin-data');
      await mkdir(folder);
      await mkdir(data);
      await writeFile(join(data, 'f'), 'from the plugin');
      plugin = createServer((incoming, response) => {
        calls.push(incoming.url ?? '');
        const answer = incoming.url === '/VolumeDriver.Mount' ? { Mountpoint: data } : {};
        incoming.resume().on('end', () => response.end(JSON.stringify({ Err: '', ...answer })));
      });
      await new Promise<void>((resolve) => plugin.listen(join(folder, 'acme.sock'), resolve));
      const executor = await runner.machine.executor({ pluginsDir: folder });
      const mount = mountOf({ kind: 'volume', source: 'remote', target: '/r', driver: 'acme' });
      const request = runner.machine.request('plugged', { ...sh('cat /r/f'), mounts: [mount] });
      await executor.prepare(request, signal());
      await expect(executor.volumes.remove('remote')).rejects.toMatchObject({
        code: 'failed-precondition',
      });
      await executor.start('plugged', signal());
      expect(await executor.wait('plugged', signal())).toMatchObject({ code: 0 });
      await executor.remove('plugged', signal());
      await executor.volumes.remove('remote');
      const steps = ['Create', 'Mount', 'Unmount', 'Remove'].map((it) => `/VolumeDriver.${it}`);
      expect(calls).toEqual(['/Plugin.Activate', ...steps]);
      const nobody = { name: 'x', driver: 'nobody', options: {}, labels: {} };
      await expect(executor.volumes.create(nobody)).rejects.toMatchObject({
        code: 'unavailable',
        message: expect.stringContaining('this node has no such plugin') as string,
      });
    });
  });

  it('see mounts that are made later when they ask for it', async () => {
    const { folder } = runner.machine;
    await mkdir(join(folder, 'shared', 'late'), { recursive: true });
    const { run } = await import('@swarmd/base/system');
    await run('mount', ['--bind', join(folder, 'shared'), join(folder, 'shared')]);
    await run('mount', ['--make-shared', join(folder, 'shared')]);
    const mount = mountOf({
      kind: 'bind',
      source: join(folder, 'shared'),
      target: '/s',
      propagation: 'rslave',
    });
    try {
      await runner.whileRunning({ spec: { mounts: [mount] } }, async (pid) => {
        await run('mount', ['-t', 'tmpfs', 'late', join(folder, 'shared', 'late')]);
        await until(async () =>
          (await readFile(`/proc/${pid}/mountinfo`, 'utf8')).includes(' /s/late '),
        );
      });
    } finally {
      await run('umount', ['-R', join(folder, 'shared')]);
    }
  });
});
