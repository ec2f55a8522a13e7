/**
 * A container's root as a plain copy of its image's layers, for machines without overlayfs. What a layer
 * takes away or replaces is removed before it is copied, from the top down: a link of a lower layer is
 * never followed.
 */
import { chmod, lstat, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { run } from '@swarmd/base/system';

import { errnoOf } from '../files/atomic-file.ts';
import { unmount } from '../files/unmount.ts';
import { COPY_TIMEOUT_MS } from '../limits.ts';

export interface PlainLayer {
  readonly path: string;
  /** Directories, relative to the layer, that show nothing of what is below them. */
  readonly opaque: readonly string[];
}

/** @param layers lowest first. @param root exists and is empty. */
export async function copyLayers(layers: readonly PlainLayer[], root: string): Promise<void> {
  for (const [index, { path, opaque }] of layers.entries()) {
    const whiteouts: string[] = [];
    const directories: string[] = [];
    const found = { whiteouts, directories, clears: index > 0 };
    const walk = { layer: path, root, opaque: new Set(opaque), ...found };
    await clearPlaces(walk, '');
    // Without --remove-destination a file would be written through a link that is in its place.
    const args = ['-a', '--reflink=auto', '--remove-destination', `${path}/.`, root];
    await run('cp', args, { timeoutMs: COPY_TIMEOUT_MS });
    for (const name of whiteouts) await rm(join(root, name), { force: true });
    for (const name of directories) await copyMode(join(path, name), join(root, name));
  }
}

/** What is made in a directory with the setgid bit inherits it, and cp leaves it so. */
async function copyMode(from: string, to: string): Promise<void> {
  const { mode } = await lstat(from);
  if ((await lstat(to)).mode !== mode) await chmod(to, mode & 0o7777);
}

interface Walk {
  readonly layer: string;
  readonly root: string;
  readonly opaque: ReadonlySet<string>;
  /** Filled. */
  readonly whiteouts: string[];
  /** Filled. */
  readonly directories: string[];
  /** There is something below. */
  readonly clears: boolean;
}

/** Makes way for what is in `folder` of the layer. Every directory above it is a real one in the root. */
async function clearPlaces(walk: Walk, folder: string): Promise<void> {
  const { layer, root, opaque, whiteouts, clears } = walk;
  for (const entry of await readdir(join(layer, folder), { withFileTypes: true })) {
    const name = folder === '' ? entry.name : `${folder}/${entry.name}`;
    const isWhiteout =
      entry.isCharacterDevice() && (await lstat(join(layer, name))).rdev === WHITEOUT_RDEV;
    if (isWhiteout) whiteouts.push(name);
    if (clears) {
      const isKept = entry.isDirectory() && !opaque.has(name) && (await isDirectory(root, name));
      if (!isKept) await rm(join(root, name), { recursive: true, force: true });
    }
    if (!entry.isDirectory()) continue;
    walk.directories.push(name);
    await clearPlaces(walk, name);
  }
}

const WHITEOUT_RDEV = 0;

async function isDirectory(root: string, name: string): Promise<boolean> {
  try {
    return (await lstat(join(root, name))).isDirectory();
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
}

/** Finds out by trying: a kernel may know overlayfs and refuse it on this file system. */
export async function hasOverlay(stateDir: string): Promise<boolean> {
  const probe = join(stateDir, 'overlay-probe');
  const folders = ['lower', 'upper', 'work', 'merged'].map((name) => join(probe, name));
  const [lower, upper, work, merged = ''] = folders;
  try {
    // We may have died here before.
    await unmount(merged);
    for (const folder of folders) await mkdir(folder, { recursive: true, mode: 0o700 });
    const options = `lowerdir=${lower},upperdir=${upper},workdir=${work}`;
    const REFUSED = 32;
    const mounted = await run('mount', ['-t', 'overlay', '-o', options, 'overlay', merged], {
      okCodes: [0, REFUSED],
    });
    if (mounted.code === 0) await run('umount', [merged]);
    return mounted.code === 0;
  } finally {
    await rm(probe, { recursive: true, force: true });
  }
}
