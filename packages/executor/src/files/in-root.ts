/**
 * Paths within an image's root as the container would see them: symlinks are followed, but never
 * out of the root. For use before the container runs; a running one could change what was resolved.
 */
import { lstat, mkdir, open, readlink } from 'node:fs/promises';
import { join } from 'node:path';

import { SwarmError } from '@swarmd/base';

import { IMAGE_FILE_MAX_BYTES } from '../limits.ts';
import { errnoOf, isNotFound } from './atomic-file.ts';

/** As the kernel's own limit on links in one path. */
const SYMLINKS_MAX = 40;

/**
 * @returns the path on this machine; its last components need not exist.
 * @throws SwarmError `failed-precondition` for a loop of links.
 */
export async function resolveInRoot(root: string, path: string): Promise<string> {
  const pending = path.split('/').reverse();
  const resolved: string[] = [];
  let links = 0;
  for (let part = pending.pop(); part !== undefined; part = pending.pop()) {
    if (part === '' || part === '.') continue;
    if (part === '..') {
      resolved.pop();
      continue;
    }
    const target = await linkTarget(join(root, ...resolved, part));
    if (target === undefined) {
      resolved.push(part);
      continue;
    }
    links += 1;
    if (links > SYMLINKS_MAX) {
      throw new SwarmError(
        'failed-precondition',
        `the image has a loop of symbolic links at ${path}`,
      );
    }
    if (target.startsWith('/')) resolved.length = 0;
    pending.push(...target.split('/').reverse());
  }
  return join(root, ...resolved);
}

/** A regular file of the image as text; empty when it does not exist or is something else. */
export async function readInRoot(root: string, path: string): Promise<string> {
  const resolved = await resolveInRoot(root, path);
  try {
    if (!(await lstat(resolved)).isFile()) return '';
    await using file = await open(resolved, 'r');
    const buffer = Buffer.alloc(Math.min((await file.stat()).size, IMAGE_FILE_MAX_BYTES));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
    return buffer.toString('utf8', 0, bytesRead);
  } catch (error) {
    if (isNotFound(error) || errnoOf(error) === 'ENOTDIR') return '';
    throw error;
  }
}

/** Makes the directory and its parents; returns its path on this machine. */
export async function makeInRoot(root: string, path: string): Promise<string> {
  const resolved = await resolveInRoot(root, path);
  await mkdir(resolved, { recursive: true, mode: 0o755 });
  return resolved;
}

async function linkTarget(path: string): Promise<string | undefined> {
  try {
    return await readlink(path);
  } catch (error) {
    if (['EINVAL', 'ENOENT', 'ENOTDIR'].includes(errnoOf(error))) return undefined;
    throw error;
  }
}
