/**
 * An image of files of Debian packages, seen through overlayfs and as a plain copy, entry by entry
 * against what umoci unpacks: content, owner, mode, time, links, devices, extended attributes.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { run } from '@swarmd/base/system';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { copyLayers } from '../src/container/plain-root.ts';
import { TestDocker } from './fixtures/docker.ts';
import { ImageMachine } from './fixtures/image-machine.ts';
import { TestRegistry } from './fixtures/registry.ts';
import { directory, file, hardlink, symlink, tarOf } from './fixtures/tar-writer.ts';

const PACKAGES = ['base-passwd', 'passwd', 'coreutils', 'perl-base', 'mount', 'libc-bin'];
/** cap_net_raw=ep, as the kernel stores it (struct vfs_cap_data, revision 2). */
const NET_RAW = '\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00';

describe('what an image unpacks to', () => {
  let folder: string;
  let registry: TestRegistry;
  let machine: ImageMachine;
  let name: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'swarmd-tree-'));
    registry = await TestRegistry.start();
    machine = await ImageMachine.open();
    const tree = [
      directory('srv', { mode: 0o2775, uid: 54_321, gid: 54_321 }),
      file('srv/gone', 'x'),
      directory('srv/hidden'),
      file('srv/hidden/below', 'x'),
      symlink('srv/way-out', '/etc'),
      file('srv/was-file', 'x'),
      directory('srv/was-folder'),
      file('srv/was-folder/x', 'x'),
    ];
    const upper = [
      directory('srv', { mode: 0o2770, uid: 54_321, gid: 54_321 }),
      file('srv/.wh.gone', ''),
      directory('srv/hidden', { mode: 0o700 }),
      file('srv/hidden/.wh..wh..opq', ''),
      file('srv/hidden/above', 'y'),
      directory('srv/way-out'),
      file('srv/way-out/passwd', 'not the machine’s'),
      directory('srv/was-file'),
      file('srv/was-file/now', 'a folder'),
      file('srv/was-folder', 'now a file'),
      file('srv/data', 'z'.repeat(70_000)),
      hardlink('srv/same', 'srv/data'),
      { name: 'srv/pipe', type: '6', mode: 0o600 },
      { name: 'srv/device', type: '3', mode: 0o660, gid: 6, major: 1, minor: 5 },
      { name: 'srv/noted', data: '', pax: { 'SCHILY.xattr.user.note': 'kept' } },
      {
        name: 'srv/ping',
        data: 'program',
        mode: 0o755,
        pax: { 'SCHILY.xattr.security.capability': NET_RAW },
      },
      // Parents that a layer does not list are made as each tool likes.
      ...Array.from({ length: 60 }, (_, depth) => directory(`srv/${'long/'.repeat(depth + 1)}`)),
      file(`srv/${'long/'.repeat(60)}name`, 'deep'),
    ];
    registry.putImage('debian:1', [await debianLayer(folder), tarOf(tree), tarOf(upper)]);
    name = `${registry.host}/debian:1`;
    await machine.puller.pull(name, AbortSignal.timeout(60_000));
  }, 120_000);
  afterAll(async () => {
    await machine[Symbol.asyncDispose]();
    await registry[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  async function unpackedByUmoci(): Promise<string> {
    const layout = join(folder, 'layout');
    const source = `docker://${name}`;
    const copy = ['--insecure-policy', 'copy', '-q', '--src-tls-verify=false', source];
    await run('skopeo', [...copy, `oci:${layout}:1`]);
    const bundle = join(folder, 'bundle');
    await run('umoci', ['unpack', '--keep-dirlinks=false', '--image', `${layout}:1`, bundle]);
    return join(bundle, 'rootfs');
  }

  /** As containers have it. */
  async function mergedEntries(): Promise<ReadonlyMap<string, string>> {
    const parts = ['merged', 'upper', 'work'].map((part) => join(folder, part));
    for (const part of parts) await mkdir(part, { recursive: true });
    const [merged = '', upper, work] = parts;
    const lower = (await machine.layersOf(name)).toReversed().join(':');
    const options = `lowerdir=${lower},upperdir=${upper},workdir=${work}`;
    await run('mount', ['-t', 'overlay', '-o', options, 'overlay', merged]);
    try {
      return await entriesOf(merged);
    } finally {
      await run('umount', ['-l', merged]);
    }
  }

  it('is what Docker unpacks', { timeout: 180_000 }, async ({ skip }) => {
    if (!(await TestDocker.isInstalled())) skip('no dockerd in the PATH (Debian: docker.io)');
    await using docker = await TestDocker.start();
    const judge = await entriesOf(await docker.rootOf(name));
    expect(judge.size).toBeGreaterThan(800);
    expect(judge.get('extended attributes')).toContain('security.capability');
    expect(differences(judge, await mergedEntries())).toEqual([]);
  });

  it('is what umoci unpacks, by overlayfs and by plain copies', { timeout: 120_000 }, async () => {
    const judge = await entriesOf(await unpackedByUmoci());
    expect(judge.size).toBeGreaterThan(800);
    expect(differences(judge, await mergedEntries())).toEqual([]);
    const layers = await machine.layersOf(name);
    const plain = join(folder, 'plain');
    await mkdir(plain);
    await copyLayers(
      layers.map((path) => ({
        path,
        opaque: machine.store.opaqueIn(path.split('/').at(-1) ?? ''),
      })),
      plain,
    );
    expect(differences(judge, await entriesOf(plain))).toEqual([]);
    // Nothing was done through the link of the lower layer.
    expect(await readFile('/etc/passwd', 'utf8')).toContain('root:');
  });
});

/** Files of installed packages as tar sees them: setuid programs, hard links, links to folders. */
async function debianLayer(folder: string): Promise<Buffer> {
  const { stdout } = await run('dpkg', ['-L', ...PACKAGES]);
  // Where /bin is a link, packages still say /bin/cat.
  const real = stdout.split('\n').map((path) => path.replace(/^\/(s?bin|lib\w*)\//, '/usr/$1/'));
  const names = [...new Set(real)]
    .filter((path) => path.startsWith('/') && path !== '/.')
    .toSorted()
    .map((path) => `.${path}`);
  const list = join(folder, 'names');
  await writeFile(list, names.join('\n'));
  const path = join(folder, 'debian.tar');
  const how = ['--format=pax', '--numeric-owner', '--no-recursion', '--ignore-failed-read'];
  await run('tar', ['-C', '/', ...how, '-T', list, '-cf', path], { okCodes: [0, 1, 2] });
  return readFile(path);
}

/** What a tar archive says of each entry, and what is in it. */
async function entriesOf(root: string): Promise<ReadonlyMap<string, string>> {
  const format = String.raw`%P\t%y %m %U %G %s %n %T@ %l\n`;
  const found = await run('find', [root, '-mindepth', '1', '-printf', format]);
  const entries = new Map<string, string>();
  for (const line of found.stdout.split('\n').filter(Boolean)) {
    const [path = '', rest = ''] = line.split('\t');
    // Size and link count of a folder are the file system's own business; its time is when it was filled.
    entries.set(path, rest.replace(/^(d \d+ \d+ \d+) .*/, '$1'));
  }
  const devices = await run('find', [
    root,
    '-type',
    'b,c',
    '-exec',
    'stat',
    '-c',
    '%n %t:%T',
    '{}',
    '+',
  ]);
  for (const line of devices.stdout.split('\n').filter(Boolean)) {
    const [path = '', numbers = ''] = line.slice(root.length + 1).split(' ');
    entries.set(path, `${entries.get(path) ?? ''} ${numbers}`);
  }
  const sums = await run('sh', [
    '-c',
    'cd "$1" && find . -type f -print0 | xargs -0 sha256sum',
    'sh',
    root,
  ]);
  for (const line of sums.stdout.split('\n').filter(Boolean)) {
    const path = line.slice(68);
    entries.set(path, `${entries.get(path) ?? ''} ${line.slice(0, 64)}`);
  }
  const archive = ['--xattrs', '--xattrs-include=user.*', '--xattrs-include=security.capability'];
  const headers = await run('sh', [
    '-c',
    'cd "$1" && shift && tar --format=pax "$@" -cf - . | grep -a -o "SCHILY.xattr[^=]*=.*" | sort',
    'sh',
    root,
    ...archive,
  ]);
  return entries.set('extended attributes', headers.stdout);
}

function differences(
  judge: ReadonlyMap<string, string>,
  ours: ReadonlyMap<string, string>,
): string[] {
  const paths = new Set([...judge.keys(), ...ours.keys()]);
  return [...paths]
    .filter((path) => judge.get(path) !== ours.get(path))
    .map(
      (path) => `${path}: ${judge.get(path) ?? 'missing'} / ours ${ours.get(path) ?? 'missing'}`,
    );
}
