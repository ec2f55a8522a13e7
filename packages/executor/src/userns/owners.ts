/** Owners of files that a remapped container is to have, or of those that it must not appear to have. */
import { chmod, lchown, lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';

import type { IdMapping } from './id-mapping.ts';

/** What the container knows as owner `uid`:`gid`. */
export function ownerOf(
  mapping: IdMapping | undefined,
  { uid, gid }: { readonly uid: number; readonly gid: number },
): { uid: number; gid: number } {
  if (mapping === undefined) return { uid, gid };
  return { uid: uid + mapping.uid.first, gid: gid + mapping.gid.first };
}

/** Gives a tree that was copied as the container sees it back its owners on disk. */
export async function unmapTree(path: string, mapping: IdMapping): Promise<void> {
  const stats = await lstat(path);
  const uid = unmapped(stats.uid, mapping.uid);
  const gid = unmapped(stats.gid, mapping.gid);
  await lchown(path, uid, gid);
  // A new owner costs the setuid bits.
  if (!stats.isSymbolicLink()) await chmod(path, stats.mode & 0o7777);
  if (!stats.isDirectory()) return;
  for (const name of await readdir(path)) await unmapTree(join(path, name), mapping);
}

function unmapped(id: number, { first, count }: IdMapping['uid']): number {
  return id >= first && id < first + count ? id - first : id;
}
