/** Mounts, files and logs of containers, and what is left when one is given up. */
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { systemClock } from '@swarmd/base/system';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { linesOf, text } from './conformance-logs.ts';
import { ContainerRunner, mountOf, sh, signal, until } from './fixtures/container-runner.ts';
import { failuresInside, INSIDE_TIMEOUT_MS, isInside } from './fixtures/private-machine.ts';
import { directory, file, tarOf } from './fixtures/tar-writer.ts';

it.skipIf(isInside)(
  'runs in a mount namespace of its own',
  { timeout: INSIDE_TIMEOUT_MS },
  async () => expect(await failuresInside(import.meta.url)).toBe(''),
);

describe.runIf(isInside)('mounts and logs of containers', () => {
  let runner: ContainerRunner;
  beforeAll(async () => {
    runner = await ContainerRunner.make();
  });
  afterAll(async () => {
    await runner[Symbol.asyncDispose]();
  });

  const exists = (path: string): Promise<boolean> =>
    stat(path).then(
      () => true,
      () => false,
    );
  it('get secrets and configs on memory, read-only, with owner and mode', async () => {
    const files = [
      { path: '/run/secrets/key', data: Buffer.from('s3cret'), uid: 1000, gid: 10, mode: 0o400 },
      { path: '/etc/app/deep/config', data: Buffer.from('plain'), uid: 0, gid: 0, mode: 0o444 },
    ];
    const said = await runner.output(
      sh(`cat /run/secrets/key /etc/app/deep/config; echo; stat -c '%u:%g %a' /run/secrets/key /etc/app/deep/config
        stat -f -c %T /run/secrets/key; echo x >>/run/secrets/key || echo refused`),
      { files },
    );
    expect(said).toContain('s3cretplain\n1000:10 400\n0:0 444\ntmpfs\n');
    expect(said).toContain('refused');
  });

  it('have the mounts of their spec', async () => {
    const source = join(runner.machine.folder, 'source');
    await mkdir(source);
    await writeFile(join(source, 'file'), 'from the machine');
    const mounts = [
      mountOf({ kind: 'bind', source, target: '/ro', readOnly: true }),
      mountOf({ kind: 'bind', source, target: '/rw' }),
      mountOf({ kind: 'tmpfs', target: '/mem', tmpfsSizeBytes: 1024 * 1024, tmpfsMode: 0o700 }),
    ];
    const said = await runner.output({
      ...sh(`cat /ro/file; echo; touch /ro/x || echo read-only; echo new >/rw/new; stat -c %a /mem
        dd if=/dev/zero of=/mem/big bs=1M count=3 2>&1 | grep -o 'No space.*'`),
      mounts,
    });
    expect(said.split('\n')).toEqual(
      expect.arrayContaining(['from the machine', 'read-only', '700', 'No space left on device']),
    );
    expect(await readFile(join(source, 'new'), 'utf8')).toBe('new\n');
  });

  it('have what is mounted below another mount, whatever was asked for first', async () => {
    const mounts = [
      mountOf({ kind: 'tmpfs', target: '/mem/below/' }),
      mountOf({ kind: 'volume', source: 'conf', target: '/etc' }),
      mountOf({ kind: 'tmpfs', target: '/mem' }),
    ];
    const said = await runner.output({
      ...sh(`cat /etc/hostname; awk '$2 ~ "^/(mem|etc)" { print $2 }' /proc/self/mounts`),
      mounts,
    });
    const places = [
      '/etc',
      '/mem',
      '/etc/hosts',
      '/etc/resolv.conf',
      '/etc/hostname',
      '/mem/below',
    ];
    expect(said).toBe(['testhost', ...places].join('\n'));
  });

  it('are refused for a bind source that is not there', async () => {
    const mount = mountOf({ kind: 'bind', source: '/no/such', target: '/x' });
    const request = runner.machine.request('nobind', { ...sh('id'), mounts: [mount] });
    await expect(runner.executor.prepare(request, signal())).rejects.toThrow(
      '/no/such does not exist on this node',
    );
  });

  it('share a named volume, which begins with what the image has', async () => {
    const mount = mountOf({ kind: 'volume', source: 'home', target: '/home/app' });
    const spec = { mounts: [mount], user: 'app' };
    const first = await runner.output({
      ...sh(`cat /home/app/readme; stat -c '%u %a' /home/app; echo kept >/home/app/new`),
      ...spec,
    });
    expect(first).toBe('from the image\n1000 750');
    expect(await runner.output({ ...sh('cat /home/app/new'), ...spec })).toBe('kept');
  });

  it('get a volume of their own where the image declares one', async () => {
    runner.machine.registry.putImage(
      'volume:1',
      [tarOf([directory('data'), file('data/seed', 'seed')])],
      {
        config: { Volumes: { '/data': {} }, Entrypoint: ['/busybox'] },
      },
    );
    const image = `${runner.machine.registry.host}/volume:1`;
    await runner.executor.pull(image, signal());
    const bind = mountOf({
      kind: 'bind',
      source: '/bin/busybox',
      target: '/busybox',
      readOnly: true,
    });
    const said = await runner.output({
      image,
      args: ['grep', ' /data ', '/proc/self/mountinfo'],
      mounts: [bind],
    });
    expect(said).toContain('/volumes/');
    expect(await runner.output({ image, args: ['cat', '/data/seed'], mounts: [bind] })).toBe(
      'seed',
    );
  });

  it('can have a root that cannot be written', async () => {
    const said = await runner.output({
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

  it('lose no line of their log to its rotation', { timeout: 60_000 }, async () => {
    const MANY = 300_000;
    const bind = mountOf({
      kind: 'bind',
      source: runner.machine.folder,
      target: '/machine',
      readOnly: true,
    });
    const script = `seq 1 ${MANY}; while ! [ -e /machine/go ]; do usleep 5000; done; seq ${MANY + 1} ${MANY + 9}`;
    await runner.whileRunning({ spec: { ...sh(script), mounts: [bind] } }, async (_, id) => {
      const deadline = AbortSignal.timeout(50_000);
      let expected = 1;
      let wrong = 0;
      for await (const line of linesOf(runner.executor.logs(id, { follow: true }, deadline))) {
        if (text(line) !== String(expected)) wrong += 1;
        expected += 1;
        if (expected !== MANY + 1) continue;
        await until(() => exists(join(runner.machine.stateDir, 'logs', id, 'log.1')));
        await writeFile(join(runner.machine.folder, 'go'), '');
      }
      expect({ lines: expected - 1, wrong }).toEqual({ lines: MANY + 9, wrong: 0 });
    });
  });

  it('are given up cleanly when nobody wants them any more', async () => {
    for (const afterMs of [1, 15, 40, 80]) {
      const controller = new AbortController();
      const giveUp = systemClock.after(afterMs, () => controller.abort());
      const outcome = await runner.executor
        .prepare(runner.machine.request('unwanted', sh('true')), controller.signal)
        .catch(() => 'given up');
      giveUp.cancel();
      if (outcome === undefined) await runner.executor.remove('unwanted', signal());
      expect(await runner.machine.leftInTheEnd()).toEqual([]);
    }
  });

  it('leave nothing behind', async () => {
    expect(await runner.machine.leftInTheEnd()).toEqual([]);
  });
});
