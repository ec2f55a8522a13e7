/**
 * A snapshot on disk. Layout, integers big-endian:
 *
 *     "SWARMSN1" | flags(1)                          flags bit 0: frames are sealed
 *     { length(4) | crc(4) | stored bytes }          one per frame, crc over number(4) and bytes
 *     0xffffffff(4) | crc(4) | frames(4) | sha256(32)   crc over what follows it
 *
 * Frame 0 is the descriptor as JSON, the others belong to the state machine. The digest covers the
 * plain frames, each led by its length, and is what two members compare.
 */
import { createHash, type Hash } from 'node:crypto';
import { open, rename, rm, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';

import { assert, errorMessage, SwarmError } from '@swarmd/base';

import type { RecordCipher } from './cipher.ts';
import type { SnapshotDescriptor } from './header.ts';
import { FRAME_MAX_BYTES } from './limits.ts';

const MAGIC = Buffer.from('SWARMSN1');
const SEALED = 1;
const END = 0xffffffff;
const TRAILER_BYTES = 36;

export interface SnapshotDigest {
  readonly sha256: string;
  readonly frames: number;
}

/** Writes frames to `PATH.tmp`; the file appears under `path` only when it is whole and synced. */
export class SnapshotWriter implements AsyncDisposable {
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #cipher: RecordCipher | undefined;
  readonly #hash: Hash = createHash('sha256');
  #frames = 0;
  #position = 0;
  #open = true;

  private constructor(path: string, file: FileHandle, cipher: RecordCipher | undefined) {
    this.#path = path;
    this.#file = file;
    this.#cipher = cipher;
  }

  static async create(path: string, cipher: RecordCipher | undefined): Promise<SnapshotWriter> {
    const file = await open(temporary(path), 'w', 0o600);
    const writer = new SnapshotWriter(path, file, cipher);
    await writer.#write([MAGIC, Buffer.from([cipher === undefined ? 0 : SEALED])]);
    return writer;
  }

  /** How many frames it holds, the descriptor included: the number of the next one. */
  get frames(): number {
    return this.#frames;
  }

  async append(plain: Uint8Array): Promise<void> {
    const number = numberBytes(this.#frames);
    const stored = this.#cipher === undefined ? plain : this.#cipher.seal(plain, number);
    assert(stored.length <= FRAME_MAX_BYTES, `snapshot frame of ${stored.length} bytes`);
    const head = Buffer.alloc(8);
    head.writeUInt32BE(stored.length, 0);
    head.writeUInt32BE(crc32(stored, crc32(number)), 4);
    await this.#write([head, stored]);
    addToDigest(this.#hash, plain);
    this.#frames += 1;
  }

  /** Syncs and renames. The writer is closed afterwards, also on failure. */
  async finish(): Promise<SnapshotDigest> {
    const sha256 = this.#hash.digest();
    const trailer = Buffer.concat([numberBytes(this.#frames), sha256]);
    const head = Buffer.alloc(8);
    head.writeUInt32BE(END, 0);
    head.writeUInt32BE(crc32(trailer), 4);
    await this.#write([head, trailer]);
    await this.#file.sync();
    this.#open = false;
    await this.#file.close();
    await rename(temporary(this.#path), this.#path);
    await syncFolder(dirname(this.#path));
    return { sha256: sha256.toString('hex'), frames: this.#frames };
  }

  /** A write that failed half-way is written over by the next one. */
  async #write(buffers: readonly Uint8Array[]): Promise<void> {
    const bytes = buffers.reduce((sum, buffer) => sum + buffer.length, 0);
    const { bytesWritten } = await this.#file.writev([...buffers], this.#position);
    if (bytesWritten !== bytes) {
      throw new SwarmError('internal', `${this.#path}: ${bytesWritten} of ${bytes} bytes written`);
    }
    this.#position += bytes;
  }

  /** Removes what was written unless it was finished. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    await this.#file.close();
    await rm(temporary(this.#path), { force: true });
  }
}

/**
 * The plain frames from number `from` on, the descriptor being 0. Reads to the end and compares the
 * digest when `from` is 0.
 * @throws SwarmError `data-loss` naming the frame that is damaged.
 */
export async function* readFrames(
  path: string,
  cipher: RecordCipher | undefined,
  from = 0,
): AsyncGenerator<Buffer, SnapshotDigest> {
  const file = await openForReading(path);
  try {
    const start = await readExactly(file, { position: 0, length: MAGIC.length + 1 });
    if (start === undefined || !start.subarray(0, MAGIC.length).equals(MAGIC)) {
      throw broken(path, 'it does not start like a snapshot');
    }
    const sealed = start[MAGIC.length] === SEALED;
    if (sealed && cipher === undefined) throw broken(path, 'it is encrypted and no key was given');
    const hash = createHash('sha256');
    let position = start.length;
    for (let frame = 0; ; frame += 1) {
      const head = await readExactly(file, { position, length: 8 });
      if (head === undefined) throw broken(path, `it ends before frame ${frame}`);
      const length = head.readUInt32BE(0);
      if (length === END) {
        return await readTrailer(file, { path, position, frame, hash: from === 0 ? hash : null });
      }
      position += 8 + length;
      if (frame < from) continue;
      const stored =
        length > FRAME_MAX_BYTES
          ? undefined
          : await readExactly(file, { position: position - length, length });
      const number = numberBytes(frame);
      if (stored === undefined || crc32(stored, crc32(number)) !== head.readUInt32BE(4)) {
        throw broken(path, `frame ${frame} fails its checksum`);
      }
      const plain =
        sealed && cipher !== undefined ? unseal(path, cipher, { stored, number }) : stored;
      addToDigest(hash, plain);
      yield plain;
    }
  } finally {
    await file.close();
  }
}

export function encodeDescriptor(descriptor: SnapshotDescriptor): Buffer {
  return Buffer.from(JSON.stringify(descriptor));
}

/** The caller has checked the frame's checksum, which vouches for the shape. */
export function decodeDescriptor(frame: Uint8Array): SnapshotDescriptor {
  return JSON.parse(Buffer.from(frame).toString()) as SnapshotDescriptor;
}

async function readTrailer(
  file: FileHandle,
  at: { path: string; position: number; frame: number; hash: Hash | null },
): Promise<SnapshotDigest> {
  const bytes = await readExactly(file, { position: at.position + 4, length: 4 + TRAILER_BYTES });
  if (bytes === undefined || crc32(bytes.subarray(4)) !== bytes.readUInt32BE(0)) {
    throw broken(at.path, 'its end is damaged');
  }
  const frames = bytes.readUInt32BE(4);
  const sha256 = bytes.toString('hex', 8);
  if (frames !== at.frame) throw broken(at.path, `it has ${at.frame} frames instead of ${frames}`);
  if (at.hash !== null && at.hash.digest('hex') !== sha256) {
    throw broken(at.path, 'its content does not have the digest it was written with');
  }
  return { sha256, frames };
}

function unseal(
  path: string,
  cipher: RecordCipher,
  frame: { stored: Buffer; number: Buffer },
): Buffer {
  try {
    return cipher.open(frame.stored, frame.number);
  } catch (cause) {
    throw broken(path, 'it cannot be decrypted with the given key', cause);
  }
}

async function openForReading(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r');
  } catch (cause) {
    throw broken(path, errorMessage(cause), cause);
  }
}

/** undefined when the file ends before. */
async function readExactly(
  file: FileHandle,
  range: { position: number; length: number },
): Promise<Buffer | undefined> {
  const buffer = Buffer.alloc(range.length);
  let done = 0;
  while (done < range.length) {
    const { bytesRead } = await file.read(buffer, done, range.length - done, range.position + done);
    if (bytesRead === 0) return undefined;
    done += bytesRead;
  }
  return buffer;
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function addToDigest(hash: Hash, plain: Uint8Array): void {
  hash.update(numberBytes(plain.length)).update(plain);
}

function numberBytes(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function temporary(path: string): string {
  return `${path}.tmp`;
}

function broken(path: string, finding: string, cause?: unknown): SwarmError {
  return new SwarmError('data-loss', `the snapshot ${path} is damaged: ${finding}`, { cause });
}
