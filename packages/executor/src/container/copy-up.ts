/** A volume starts with what the image has at its place. */
import { chmod, chown, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';

import { run } from '@swarmd/base/system';

import type { IdMapping } from '../userns/id-mapping.ts';
import { unmapTree } from '../userns/owners.ts';

/**
 * A new directory `target` with the content, owner and mode of `content`, where that is a directory.
 * With a mapping, `content` is as a remapped container sees it. Made beside and renamed, so that it is whole or absent.
 */
export async function copyUp(content: string, target: string, mapping?: IdMapping): Promise<void> {
  const temporary = `${target}.tmp`;
  await rm(temporary, { recursive: true, force: true });
  await mkdir(temporary, { mode: 0o755 });
  const from = await stat(content).catch(() => undefined);
  if (from?.isDirectory() === true) {
    if ((await readdir(content)).length > 0) {
      await run('cp', ['-a', '--reflink=auto', `${content}/.`, temporary], { timeoutMs: 600_000 });
    }
    await chown(temporary, from.uid, from.gid);
    await chmod(temporary, from.mode & 0o7777);
  }
  if (mapping !== undefined) await unmapTree(temporary, mapping);
  await rename(temporary, target);
}
