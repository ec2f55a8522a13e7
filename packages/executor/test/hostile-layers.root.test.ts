/** Archives that try to write outside of the directory they are unpacked into. */
import { access, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { unpackLayer } from '../src/unpack/unpack-layer.ts';
import { digestOf } from './fixtures/registry.ts';
import {
  directory,
  file,
  hardlink,
  symlink,
  tarOf,
  type TestEntry,
} from './fixtures/tar-writer.ts';

describe('hostile layers', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'swarmd-hostile-'));
    await mkdir(join(folder, 'state', 'l'), { recursive: true });
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const hostile = (victim: string): Readonly<Record<string, TestEntry[]>> => ({
    'a link to outside, then a file through it': [symlink('l', victim), file('l/pwn', 'x')],
    'a relative link to outside, then a file through it': [
      symlink('l', '../../../victim'),
      file('l/pwn', 'x'),
    ],
    'a hard link through a link': [symlink('s', victim), hardlink('h', 's/secret')],
    'a hard link to a link, overwritten': [
      symlink('s', `${victim}/secret`),
      hardlink('h', 's'),
      file('h', 'x'),
    ],
    'a link, overwritten': [symlink('f', `${victim}/secret`), file('f', 'x')],
    'a chain of links': [
      directory('d'),
      symlink('d/up', '.'),
      symlink('d/up/up2', '..'),
      symlink('x', victim),
      file('d/up2/x/pwn', 'x'),
    ],
    'a link in place of a directory': [
      directory('dir'),
      symlink('dir', victim),
      file('dir/pwn', 'x'),
    ],
    'a whiteout through a link': [symlink('l', victim), file('l/.wh.secret', '')],
    'an opaque marker through a link': [symlink('l', victim), file('l/.wh..wh..opq', '')],
    'a directory over a link, with a mode': [symlink('l', victim), directory('l', { mode: 0o777 })],
    'a climbing name': [file('../../../victim/pwn', 'x')],
    'an absolute name': [file(`${victim}/pwn`, 'x')],
    'names like options': [
      file('--checkpoint-action=exec=sh', 'x'),
      file('-rf', 'x'),
      file('a\nb', 'x'),
    ],
    'an absolute hard link': [hardlink('h', `${victim}/secret`), file('h', 'x')],
  });
  it.each(Object.keys(hostile('')))('do not get out by %s', async (kind) => {
    const victim = join(folder, 'victim');
    await mkdir(victim, { mode: 0o700 });
    await writeFile(join(victim, 'secret'), 'SECRET', { mode: 0o600 });
    // Where the store would unpack it to: relative links of the corpus count on the depth.
    const target = join(folder, 'state', 'l', 'layer');
    const layer = tarOf(hostile(victim)[kind] ?? []);
    const digest = digestOf(layer);
    const outcome = await unpackLayer(
      { digest, diffId: digest, sizeBytes: layer.length, compression: 'none' },
      { blob: Readable.from([layer]), directory: target, signal: AbortSignal.timeout(25_000) },
    ).then(
      () => 'unpacked',
      () => 'refused',
    );
    expect(await readdir(victim)).toEqual(['secret']);
    expect(await readFile(join(victim, 'secret'), 'utf8')).toBe('SECRET');
    expect(await stat(join(victim, 'secret'))).toMatchObject({ nlink: 1, mode: 0o100600 });
    expect((await stat(victim)).mode).toBe(0o40700);
    await expect(access(join(folder, 'pwn'))).rejects.toThrow('ENOENT');
    expect(await readdir(join(folder, 'state', 'l'))).toEqual(
      outcome === 'refused' ? [] : ['layer'],
    );
  });
});
