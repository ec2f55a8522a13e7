/**
 * Bytes of a blob that came before a download was cut off, also by our own death: they lie in a file
 * of their own until the blob is unpacked, and the next attempt begins with them. They are checked
 * with the rest, against the blob's digest.
 */
import { createReadStream } from 'node:fs';
import { open, rm, type FileHandle } from 'node:fs/promises';

import { errorMessage, SwarmError } from '@swarmd/base';

import { errnoOf } from '../files/atomic-file.ts';

export interface PartialBlobOptions {
  readonly path: string;
  readonly sizeBytes: number;
  /** The blob from an offset on. */
  readonly fetch: (from: number) => AsyncIterable<Uint8Array>;
  /** All bytes so far. */
  readonly onBytes: (bytes: number) => void;
}

/** @throws SwarmError `resource-exhausted` when the disk is full, and what `fetch` throws. */
export async function* resumedBlob(options: PartialBlobOptions): AsyncGenerator<Uint8Array> {
  const { path, sizeBytes, fetch, onBytes } = options;
  await using file = await open(path, 'a+', 0o600);
  let bytes = (await file.stat()).size;
  if (bytes > sizeBytes) {
    await file.truncate(0);
    bytes = 0;
  }
  onBytes(bytes);
  if (bytes > 0) {
    // `end` is inclusive: what is appended meanwhile is not read back.
    yield* createReadStream(path, { end: bytes - 1 }) as AsyncIterable<Uint8Array>;
  }
  for await (const chunk of fetch(bytes)) {
    await keep(file, chunk);
    bytes += chunk.length;
    onBytes(bytes);
    yield chunk;
  }
}

/** To be called when the bytes are of no use: wrong, or in the way. */
export function forgetPartial(path: string): Promise<void> {
  return rm(path, { force: true });
}

async function keep(file: FileHandle, chunk: Uint8Array): Promise<void> {
  try {
    await file.appendFile(chunk);
  } catch (cause) {
    const isFull = ['ENOSPC', 'EDQUOT'].includes(errnoOf(cause));
    throw new SwarmError(
      isFull ? 'resource-exhausted' : 'internal',
      `a layer cannot be kept while it is downloaded: ${errorMessage(cause)}`,
      { cause },
    );
  }
}
