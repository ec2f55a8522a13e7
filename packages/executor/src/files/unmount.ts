/** Taking a mount away whose server may hang, by a process of its own: nobody else has to wait for it. */
import { readFile, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

import { run } from '@swarmd/base/system';

import { errnoOf } from './atomic-file.ts';

/** Unmounts if mounted; lazily, so that a reader of the mount cannot hold up the removal. */
export async function unmount(path: string): Promise<void> {
  if (!(await isMountPoint(path))) return;
  const NOT_MOUNTED = 32;
  await run('umount', ['-l', path], { okCodes: [0, NOT_MOUNTED] });
}

/** As `unmount`, where a server may be away that the mount is of: nothing here looks at what is mounted. */
export async function unmountUnseen(path: string): Promise<void> {
  if (!(await isMounted(path))) return;
  await run('umount', ['--lazy', '--no-canonicalize', '--internal-only', path]);
}

/** By the kernel's table: looking at a mount waits for its server. False where not even its folder is. */
export async function isMounted(target: string): Promise<boolean> {
  const folder = await realpath(dirname(target)).catch(() => dirname(target));
  const path = join(folder, basename(target));
  const lines = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n');
  return lines.some((line) => unescaped(line.split(' ', 5)[4] ?? '') === path);
}

/** Blanks, tabs, line ends and backslashes are octal in there. */
function unescaped(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCodePoint(Number.parseInt(octal, 8)),
  );
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
