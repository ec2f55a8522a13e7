/**
 * The files of an archive of images (not of a layer), each put into a numbered file of a folder of our
 * own: names in the archive name nothing on this machine, whatever they are.
 */
import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { posix } from 'node:path';

import { SwarmError } from '@swarmd/base';

import { ARCHIVE_FILES_MAX, ARCHIVE_MAX_BYTES, TAR_META_MAX_BYTES } from '../limits.ts';
import {
  BLOCK_BYTES,
  padding,
  parsePax,
  readLink,
  readName,
  readNumber,
  typeOf,
  verifyChecksum,
} from '../unpack/tar-header.ts';

/** Path of each file's content on this machine, by its name in the archive. */
export type ArchiveFiles = ReadonlyMap<string, string>;

/**
 * @param folder exists and is empty; whoever made it removes it.
 * @throws SwarmError `data-loss` (no tar archive), `resource-exhausted`.
 */
export async function readArchive(
  archive: AsyncIterable<Uint8Array>,
  folder: string,
): Promise<ArchiveFiles> {
  const source = new ByteSource(archive);
  const files = new Map<string, string>();
  const links = new Map<string, string>();
  let pax = new Map<string, Buffer>();
  let longName: string | undefined;
  for (;;) {
    const header = await source.take(BLOCK_BYTES);
    if (header === undefined || header.every((byte) => byte === 0)) break;
    verifyChecksum(header);
    const type = typeOf(header);
    const size = Number(pax.get('size')?.toString() ?? readNumber(header, 'size'));
    if ('xgL'.includes(type)) {
      if (size > TAR_META_MAX_BYTES) throw noArchive('an extended header is too large');
      const data = (await source.take(size + padding(size)))?.subarray(0, size);
      if (data === undefined) throw noArchive('it ends within a header');
      if (type === 'x') pax = parsePax(data);
      if (type === 'L') longName = data.toString('utf8').replace(/\0.*$/s, '');
      continue;
    }
    const name = clean(pax.get('path')?.toString() ?? longName ?? readName(header));
    const link = pax.get('linkpath')?.toString() ?? readLink(header);
    pax = new Map();
    longName = undefined;
    // A symbolic link is relative to its folder, a hard link to the archive's root.
    if (type === '2') links.set(name, clean(posix.join(posix.dirname(name), link)));
    else if (type === '1') links.set(name, clean(link));
    if (type !== '0' && type !== '7') continue;
    if (files.size >= ARCHIVE_FILES_MAX)
      throw noArchive(`it has more than ${ARCHIVE_FILES_MAX} files`);
    const path = join(folder, String(files.size));
    await using file = await open(path, 'w', 0o600);
    await copy(source, size, file);
    await source.take(padding(size));
    files.set(name, path);
  }
  for (const [name, target] of links) {
    const path = files.get(target);
    if (path !== undefined) files.set(name, path);
  }
  // What follows the end marks is of no use, but whoever sends it must get rid of it.
  await source.drain();
  return files;
}

async function copy(source: ByteSource, size: number, file: FileHandle): Promise<void> {
  for (let left = size; left > 0;) {
    const piece = await source.some(left);
    if (piece === undefined) throw noArchive('it ends within a file');
    await file.appendFile(piece);
    left -= piece.length;
  }
}

function clean(name: string): string {
  return posix.normalize(`/${name}`).slice(1);
}

function noArchive(why: string): SwarmError {
  return new SwarmError('data-loss', `this is no archive of images: ${why}`);
}

/** Bytes of a stream by number instead of by chunk. */
class ByteSource {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: Buffer = Buffer.alloc(0);
  #total = 0;

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /** Exactly so many; undefined when there are fewer. */
  async take(bytes: number): Promise<Buffer | undefined> {
    const pieces: Buffer[] = [];
    let length = 0;
    while (length < bytes) {
      const piece = await this.some(bytes - length);
      if (piece === undefined) return undefined;
      pieces.push(piece);
      length += piece.length;
    }
    return Buffer.concat(pieces);
  }

  /** At least one byte and at most so many; undefined at the end. */
  async some(most: number): Promise<Buffer | undefined> {
    while (this.#rest.length === 0) {
      const next = await this.#chunks.next();
      if (next.done === true) return undefined;
      this.#total += next.value.length;
      if (this.#total > ARCHIVE_MAX_BYTES) {
        throw new SwarmError(
          'resource-exhausted',
          `the archive has more than ${ARCHIVE_MAX_BYTES} bytes`,
        );
      }
      this.#rest = Buffer.from(next.value);
    }
    const piece = this.#rest.subarray(0, most);
    this.#rest = this.#rest.subarray(piece.length);
    return piece;
  }

  async drain(): Promise<void> {
    while ((await this.some(Number.MAX_SAFE_INTEGER)) !== undefined);
  }
}
