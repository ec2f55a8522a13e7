/**
 * The files of one container's log. Each has a generation, which grows by one with every rotation and
 * names the rotated file for ever: log.7.zst, log.8, log (which is 9).
 */
import { createReadStream, createWriteStream } from 'node:fs';
import { constants } from 'node:fs';
import { open, readdir, rename, rm, stat, truncate } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import {
  constants as zlib,
  createGunzip,
  createGzip,
  createZstdCompress,
  createZstdDecompress,
} from 'node:zlib';
import type { Transform } from 'node:stream';

import { errnoOf } from '../files/atomic-file.ts';

export type LogPacking = 'gz' | 'zst';

export interface LogFile {
  readonly path: string;
  readonly generation: number;
  readonly packing: LogPacking | undefined;
  /** It is being written to. */
  readonly isNewest: boolean;
}

export interface LogBounds {
  /** Of the newest file before it is rotated. */
  readonly maxBytes: number;
  /** Rotated files. */
  readonly kept: number;
  /** Somebody else removes those that are too many. */
  readonly isShipped?: boolean;
  /** It will be too long before anybody looks again. */
  readonly isDue?: boolean;
}

/** The files there are, oldest first. `path` is the newest one. */
export async function logFiles(path: string): Promise<readonly LogFile[]> {
  const folder = dirname(path);
  const base = basename(path);
  const byGeneration = new Map<number, LogFile>();
  let isThere = false;
  for (const name of await namesIn(folder)) {
    if (name === base) isThere = true;
    const match = name.startsWith(`${base}.`)
      ? /^(\d+)(?:\.(gz|zst))?$/.exec(name.slice(base.length + 1))
      : null;
    if (match === null) continue;
    const generation = Number(match[1]);
    const packing = match[2] as LogPacking | undefined;
    // While it is compressed both are there.
    if (packing !== undefined && byGeneration.has(generation)) continue;
    const file = { path: join(folder, name), generation, packing, isNewest: false };
    byGeneration.set(generation, file);
  }
  const files = [...byGeneration.values()].toSorted((a, b) => a.generation - b.generation);
  if (!isThere) return files;
  const generation = (files.at(-1)?.generation ?? 0) + 1;
  return [...files, { path, generation, packing: undefined, isNewest: true }];
}

/**
 * Begins a new file once the newest is too long. Its writer goes on writing to the renamed file until
 * it has been told, so nothing is lost; a request that got lost is repeated by the next call.
 * @returns the newest file's size.
 */
export async function rotateLog(
  path: string,
  { maxBytes, kept, isShipped = false, isDue = false }: LogBounds,
  reopen: () => Promise<void>,
): Promise<number> {
  const size = await sizeOf(path);
  if (size !== undefined && size < maxBytes && !isDue) return size;
  const rotated = (await logFiles(path)).filter((file) => !file.isNewest);
  if (size !== undefined) await rename(path, `${path}.${(rotated.at(-1)?.generation ?? 0) + 1}`);
  // Whoever else removes them counts what is in them; only what is far beyond their bound is removed here.
  const bounds = isShipped ? { maxBytes: 2 * maxBytes, kept: 2 * kept + 2 } : { maxBytes, kept };
  const left = (await logFiles(path)).filter((file) => !file.isNewest);
  for (const file of await surplusFiles(left, bounds)) {
    await rm(file.path, { force: true });
  }
  await reopen();
  return 0;
}

/**
 * Those of rotated files, oldest first, that are too many or too much: under a flood files are longer than
 * they should be. The newest stays in any case, for those who are reading it.
 */
export async function surplusFiles(
  rotated: readonly LogFile[],
  { maxBytes, kept }: Pick<LogBounds, 'maxBytes' | 'kept'>,
): Promise<readonly LogFile[]> {
  let bytes = 0;
  for (let index = rotated.length - 1; index >= 0; index -= 1) {
    const count = rotated.length - index;
    bytes += (await sizeOf(rotated[index]?.path ?? '')) ?? 0;
    const isFull = count > kept || bytes > kept * maxBytes * ROTATION_SLACK;
    if (count > 1 && isFull) return rotated.slice(0, index + 1);
  }
  return [];
}

/** Nobody looks at a log at the very moment when it is full. */
const ROTATION_SLACK = 1.5;

/**
 * Without rotated files the last one keeps its name, which says the generation, but not its content.
 * Only once its writer has left it.
 */
export async function emptyRotated(path: string): Promise<void> {
  const files = await logFiles(path);
  const last = files.at(-2);
  if (files.at(-1)?.isNewest === true && last !== undefined) await truncate(last.path);
}

/** conmon's control fifo: "reopen the log". */
export async function reopenConmonLog(bundle: string): Promise<void> {
  try {
    await using fifo = await open(join(bundle, 'ctl'), constants.O_WRONLY | constants.O_NONBLOCK);
    await fifo.write('2 0 0\n');
  } catch (error) {
    // No reader, no monitor: the container has ended.
    if (!['ENXIO', 'ENOENT'].includes(errnoOf(error))) throw error;
  }
}

/** Rotated files that are still plain, once nobody writes to them. */
export async function plainFiles(path: string): Promise<readonly LogFile[]> {
  const files = await logFiles(path);
  if (files.at(-1)?.isNewest !== true) return [];
  return files.filter((file) => !file.isNewest && file.packing === undefined);
}

/** Both names are there for a moment; never none. Harmless for a file that has gone meanwhile. */
export async function packLogFile(file: LogFile, packing: LogPacking): Promise<void> {
  const target = `${file.path}.${packing}`;
  const temporary = `${target}.tmp`;
  try {
    const packer = packing === 'gz' ? createGzip({ level: 1 }) : createZstdCompress(FAST);
    await pipeline(createReadStream(file.path), packer, createWriteStream(temporary));
    await rename(temporary, target);
    await rm(file.path, { force: true });
    // A rotation may have removed the plain one meanwhile: then this one is too old as well.
  } catch (error) {
    await rm(temporary, { force: true });
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
}

const FAST = { params: { [zlib.ZSTD_c_compressionLevel]: 1 } };

export function unpacker(packing: LogPacking): Transform {
  return packing === 'gz' ? createGunzip() : createZstdDecompress();
}

async function namesIn(folder: string): Promise<readonly string[]> {
  try {
    return (await readdir(folder)).toSorted();
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
