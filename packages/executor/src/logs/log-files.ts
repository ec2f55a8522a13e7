/** The files of one container's log, oldest first: log.2, log.1, log. */
import { constants } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { errnoOf } from '../files/atomic-file.ts';
import type { LogSettings } from './log-settings.ts';

export interface LogFile {
  readonly path: string;
  readonly inode: number;
}

/** `path` is the newest one; `kept` rotated ones there may be, or not. */
export async function logFiles(path: string, kept: number): Promise<readonly LogFile[]> {
  // A rotation in the middle of a look would hide a file: two looks have to agree.
  for (let before = await look(path, kept); ;) {
    const now = await look(path, kept);
    if (now.every((file, index) => file.inode === before[index]?.inode)) return now;
    before = now;
  }
}

async function look(path: string, kept: number): Promise<readonly LogFile[]> {
  const found: LogFile[] = [];
  for (let index = kept; index >= 0; index -= 1) {
    const name = rotated(path, index);
    const info = await statIfExists(name);
    if (info !== undefined) found.push({ path: name, inode: info.ino });
  }
  return found;
}

/**
 * Begins a new file once the newest is too long. conmon goes on writing to the renamed file until it
 * has read the request to open a new one, so nothing is lost; a request that got lost is repeated.
 */
export async function rotateLog(
  path: string,
  bundle: string,
  { maxBytes, kept }: Pick<LogSettings, 'maxBytes' | 'kept'>,
): Promise<void> {
  const info = await statIfExists(path);
  if (info !== undefined && info.size < maxBytes) return;
  if (info !== undefined && kept === 0) await rm(path, { force: true });
  else if (info !== undefined) {
    for (let index = kept; index > 0; index -= 1) {
      await renameIfExists(rotated(path, index - 1), rotated(path, index));
    }
  }
  await reopen(join(bundle, 'ctl'));
}

async function reopen(control: string): Promise<void> {
  try {
    await using fifo = await open(control, constants.O_WRONLY | constants.O_NONBLOCK);
    await fifo.write('2 0 0\n');
  } catch (error) {
    // No reader, no monitor: the container has ended.
    if (!['ENXIO', 'ENOENT'].includes(errnoOf(error))) throw error;
  }
}

function rotated(path: string, index: number): string {
  return index === 0 ? path : `${path}.${index}`;
}

async function renameIfExists(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
}

async function statIfExists(path: string): Promise<{ size: number; ino: number } | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
