/** Containers whose root is nobody on the machine: what the kernel says of their ids and files. */
import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { idMapping, rangeOf } from '../src/userns/id-mapping.ts';
import { ContainerRunner, mountOf, sh, signal } from './fixtures/container-runner.ts';
import { failuresInside, INSIDE_TIMEOUT_MS, isInside } from './fixtures/private-machine.ts';
import { busyboxLayer } from './fixtures/registry.ts';
import { directory, file, tarOf } from './fixtures/tar-writer.ts';

it.skipIf(isInside)(
  'runs in a mount namespace of its own',
  { timeout: INSIDE_TIMEOUT_MS },
  async () => expect(await failuresInside(import.meta.url)).toBe(''),
);

const FIRST = 300_000;
const owner = async (path: string): Promise<string> => {
  const { uid, gid } = await stat(path);
  return `${uid}:${gid}`;
};

describe('ids for remapped containers', () => {
  it.each([
    ['swarmd:100000:65536', { first: 100_000, count: 65_536 }],
    ['ann:1:65536\nswarmd:0:65536\nswarmd:5:10\nswarmd:7:70000', { first: 7, count: 70_000 }],
    ['swarmd:x:65536\nother:100000:65536', undefined],
    ['', undefined],
  ])('%j', (text, range) => expect(rangeOf('swarmd', text)).toEqual(range));

  it('that are not there are said how to give', async () => {
    await expect(idMapping('nobody-has-this')).rejects.toMatchObject({
      code: 'failed-precondition',
      message: expect.stringContaining('add e.g. "nobody-has-this:100000:65536"'),
    });
  });
});

describe.runIf(isInside)('a remapped container', () => {
  let runner: ContainerRunner;
  let etc: string;
  beforeAll(async () => {
    etc = await mkdtemp(join(tmpdir(), 'swarmd-subids-'));
    for (const name of ['subuid', 'subgid']) {
      await writeFile(join(etc, name), `tester:${FIRST}:65536\n`);
    }
    runner = await ContainerRunner.make({
      userns: { user: 'tester', byDefault: false, folder: etc },
    });
    // The machine's own folders are found by others; this one is a test's.
    await chmod(runner.machine.folder, 0o755);
    const owned = tarOf([
      directory('data'),
      { ...file('data/of-twelve', 'x', 0o640), uid: 12, gid: 34 },
    ]);
    runner.machine.registry.putImage('owned:1', [busyboxLayer(), owned]);
    await runner.executor.pull(`${runner.machine.registry.host}/owned:1`, signal());
  });
  afterAll(async () => {
    await runner?.[Symbol.asyncDispose]();
    await rm(etc, { recursive: true, force: true });
  });
  const remapped = () => ({
    image: `${runner.machine.registry.host}/owned:1`,
    userns: 'remap' as const,
  });

  it('has ids of its own, and the files of its image as their owners know them', async () => {
    await runner.whileRunning({ spec: remapped() }, async (pid, id) => {
      const map = (await readFile(`/proc/${pid}/uid_map`, 'utf8')).trim().split(/\s+/);
      expect(map).toEqual(['0', String(FIRST), '65536']);
      expect(await readFile(`/proc/${pid}/gid_map`, 'utf8')).toMatch(/^\s+0\s+300000\s+65536\n$/);
      expect(await readFile(`/proc/${pid}/status`, 'utf8')).toMatch(/^Uid:\s300000\s300000/m);
      const script =
        'stat -c %u:%g:%a / /data/of-twelve /etc/hosts; touch /made /data/of-twelve; stat -c %u /made; chown 5:6 /made; id -u';
      const argv = ['/bin/sh', '-c', script];
      const seen = await runner.executor.exec(id, { argv, timeoutMs: 20_000 }, signal());
      expect(seen).toMatchObject({ code: 0, output: '0:0:755\n12:34:640\n0:0:644\n0\n0\n' });
      const root = `/proc/${pid}/root`;
      expect(await owner(`${root}/data/of-twelve`)).toBe(`${FIRST + 12}:${FIRST + 34}`);
      expect(await owner(`${root}/made`)).toBe(`${FIRST + 5}:${FIRST + 6}`);
    });
    // The image's own files are untouched: everybody else sees them as ever.
    const plain = { ...remapped(), userns: '' as const };
    expect(await runner.output({ ...plain, ...sh('stat -c %u:%g /data/of-twelve') })).toBe('12:34');
  });

  it('shares volumes with others, and cannot use what is root’s on the machine', async () => {
    const bound = join(etc, 'bound');
    await mkdir(bound, { mode: 0o755 });
    await writeFile(join(bound, 'roots'), 'secret', { mode: 0o600 });
    const mounts = [
      mountOf({ kind: 'volume', source: 'shared', target: '/data' }),
      mountOf({ kind: 'bind', source: bound, target: '/bound' }),
    ];
    const secret = { path: '/run/s', data: Buffer.from('told'), uid: 7, gid: 8, mode: 0o400 };
    const script =
      'stat -c %u:%g /data/of-twelve /run/s; touch /data/new; cat /run/s; echo; cat /bound/roots 2>&1';
    const output = await runner.output(
      { ...remapped(), ...sh(script), mounts },
      { files: [secret] },
    );
    expect(output.split('\n')).toEqual([
      '12:34',
      '7:8',
      'told',
      expect.stringContaining('Permission denied'),
    ]);
    const volume = join(runner.machine.stateDir, 'volumes/shared/_data');
    expect([await owner(join(volume, 'of-twelve')), await owner(join(volume, 'new'))]).toEqual([
      '12:34',
      '0:0',
    ]);
    const other = { mounts, ...sh('stat -c %u:%g /data/of-twelve /data/new') };
    expect(await runner.output(other)).toBe('12:34\n0:0');
  });

  it('has its network’s kernel parameters set by the machine', async () => {
    const sysctls = { 'net.core.somaxconn': '77', 'kernel.shmmax': '1000000' };
    const show = sh('cat /proc/sys/net/core/somaxconn /proc/sys/kernel/shmmax');
    expect(await runner.output({ ...remapped(), ...show, sysctls })).toBe('77\n1000000');
    const unknown = { ...remapped(), ...show, sysctls: { 'net.core.no_such': '1' } };
    await expect(runner.output(unknown)).rejects.toMatchObject({
      code: 'failed-precondition',
      message: expect.stringMatching(/net\.core\.no_such cannot be set.*nonexistent|No such file/s),
    });
  });

  it('is given files, and gives them, with owners that it knows', async () => {
    await runner.whileRunning({ spec: remapped() }, async (_pid, id) => {
      const { workbench } = runner.executor;
      const archive = tarOf([{ ...file('in', 'x'), uid: 3, gid: 4 }]);
      const whole = async function* (): AsyncGenerator<Uint8Array> {
        yield await Promise.resolve(archive);
      };
      await workbench.copyIn(id, { directory: '/data', archive: whole() }, signal());
      const argv = ['/bin/stat', '-c', '%u:%g', '/data/in'];
      const seen = await runner.executor.exec(id, { argv, timeoutMs: 20_000 }, signal());
      expect(seen.output).toBe('3:4\n');
      const back = Buffer.concat(
        await Array.fromAsync(workbench.copyOut(id, '/data/in', signal())),
      );
      const entries = back.toString('latin1');
      expect(entries).toContain('0000003\x000000004\0');
    });
  });

  it('is not made where it cannot be', async () => {
    const request = runner.machine.request('both', {
      ...remapped(),
      ...sh('true'),
      privileged: true,
    });
    await expect(runner.executor.prepare(request, signal())).rejects.toThrow('choose one');
    const vfs = await runner.machine.executor({
      storageDriver: 'vfs',
      userns: { user: 'tester', byDefault: true, folder: etc },
    });
    await expect(vfs.prepare(runner.machine.request('plain', {}), signal())).rejects.toThrow(
      /needs the storage driver overlay/,
    );
    expect(await runner.machine.leftInTheEnd()).toEqual([]);
  });
});
