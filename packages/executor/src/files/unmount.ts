/** Taking a mount away whose server may hang, by a process of its own: nobody else has to wait for it. */
import { stat } from 'node:fs/promises';
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
