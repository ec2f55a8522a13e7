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
import { crc32 } from 'node:zlib';

import { assert, errorMessage, SwarmError } from '@swarmd/base';

import type { RecordCipher } from './cipher.ts';
import type { SnapshotDescriptor } from './header.ts';
import { FRAME_MAX_BYTES } from './limits.ts';
import type { Storage, StoredFile } from './storage.ts';

const MAGIC = Buffer.from('SWARMSN1');
const SEALED = 1;
const END = 0xffffffff;
const TRAILER_BYTES = 36;

export interface SnapshotDigest {
  readonly sha256: string;
  readonly frames: number;
}

/** A snapshot's file, to be read or made. */
export interface SnapshotPlace {
  readonly storage: Storage;
  readonly name: string;
  readonly cipher: RecordCipher | undefined;
}

/** Writes frames to `NAME.tmp`; the file has its name only when it is whole and synced. */
export class SnapshotWriter implements AsyncDisposable {
  readonly #place: SnapshotPlace;
  readonly #file: StoredFile;
  readonly #hash: Hash = createHash('sha256');
  #frames = 0;
  #position = 0;
  #open = true;

  private constructor(place: SnapshotPlace, file: StoredFile) {
    this.#place = place;
    this.#file = file;
  }

  static async create(place: SnapshotPlace): Promise<SnapshotWriter> {
    const file = await place.storage.openFile(temporary(place.name), 'write');
    const writer = new SnapshotWriter(place, file);
    await writer.#write([MAGIC, Buffer.from([place.cipher === undefined ? 0 : SEALED])]);
    return writer;
  }

  /** How many frames it holds, the descriptor included: the number of the next one. */
  get frames(): number {
    return this.#frames;
  }

  async append(plain: Uint8Array): Promise<void> {
    const number = numberBytes(this.#frames);
    const { cipher } = this.#place;
    const stored = cipher === undefined ? plain : cipher.seal(plain, number);
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
    const { storage, name } = this.#place;
    await storage.rename(temporary(name), name);
    return { sha256: sha256.toString('hex'), frames: this.#frames };
  }

  async #write(buffers: readonly Uint8Array[]): Promise<void> {
    await this.#file.write(buffers, this.#position);
    this.#position += buffers.reduce((sum, buffer) => sum + buffer.length, 0);
  }

  /** Removes what was written unless it was finished. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    await this.#file.close();
    const { storage, name } = this.#place;
    await storage.remove(temporary(name));
  }
}

/**
 * The plain frames from number `from` on, the descriptor being 0. Reads to the end and compares the
 * digest when `from` is 0.
 * @throws SwarmError `data-loss` naming the frame that is damaged.
 */
export async function* readFrames(
  place: SnapshotPlace,
  from = 0,
): AsyncGenerator<Buffer, SnapshotDigest> {
  const { cipher } = place;
  const path = `${place.storage.place}/snapshots/${place.name}`;
  const file = await openForReading(place, path);
  try {
    const start = await file.read({ position: 0, length: MAGIC.length + 1 });
    if (start === undefined || !start.subarray(0, MAGIC.length).equals(MAGIC)) {
      throw broken(path, 'it does not start like a snapshot');
    }
    const sealed = start[MAGIC.length] === SEALED;
    if (sealed && cipher === undefined) throw broken(path, 'it is encrypted and no key was given');
    const hash = createHash('sha256');
    let position = start.length;
    for (let frame = 0; ; frame += 1) {
      const head = await file.read({ position, length: 8 });
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
          : await file.read({ position: position - length, length });
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
  file: StoredFile,
  at: { path: string; position: number; frame: number; hash: Hash | null },
): Promise<SnapshotDigest> {
  const bytes = await file.read({ position: at.position + 4, length: 4 + TRAILER_BYTES });
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

async function openForReading(place: SnapshotPlace, path: string): Promise<StoredFile> {
  try {
    return await place.storage.openFile(place.name, 'read');
  } catch (cause) {
    throw broken(path, errorMessage(cause), cause);
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
