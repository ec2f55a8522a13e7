/** Taking mounts away. */
import { readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

import { run } from '@swarmd/base/system';

import { errnoOf } from './atomic-file.ts';

/** Unmounts if mounted; lazily, so that a reader of the mount cannot hold up the removal. */
export async function unmount(path: string): Promise<void> {
  if (!(await isMountPoint(path))) return;
  const NOT_MOUNTED = 32;
  await run('umount', ['-l', path], { okCodes: [0, NOT_MOUNTED] });
}

/** A mount point is on another device than its parent; spawning umount to find out takes 3 ms. */
async function isMountPoint(path: string): Promise<boolean> {
  try {
    return (await stat(path)).dev !== (await stat(dirname(path))).dev;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
}

/** Everything that is mounted in the folder; lazily. */
export async function unmountBelow(folder: string): Promise<void> {
  const lines = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n');
  const mounted = lines.map((line) => line.split(' ')[4] ?? '');
  const below = mounted.filter((path) => path.startsWith(`${folder}/`));
  if (below.length > 0) await run('umount', ['-l', ...below]);
}
