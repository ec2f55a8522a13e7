/**
 * The high-water mark: a file beside LevelDB that says how many batches were durable. LevelDB drops
 * a damaged stretch of its own log without a word, and the header that would prove it along with
 * it; the mark, in another file, still knows.
 *
 * Two slots are written in turn, so that a torn write leaves the other. The mark is written only
 * after its batch is durable, hence never ahead of it. It is written at once (a killed process
 * loses nothing) and synced about once a second (a power cut may lose that second of it).
 */
import { crc32 } from 'node:zlib';

import type { MarkFile, Storage } from './storage.ts';

const SLOT_BYTES = 64;
const CONTENT_BYTES = 32;

export interface HighWaterMark {
  /** The number of the newest synced batch. */
  readonly batch: number;
  /** The newest entry at that batch. */
  readonly last: number;
}

export type HighWaterReading =
  | { readonly kind: 'missing' }
  /** No slot is readable. */
  | { readonly kind: 'damaged' }
  | { readonly kind: 'mark'; readonly mark: HighWaterMark };

export function readHighWater(storage: Storage): HighWaterReading {
  const bytes = storage.readMark();
  if (bytes === undefined) return { kind: 'missing' };
  const marks = [0, SLOT_BYTES].flatMap((offset) => decode(bytes.subarray(offset)) ?? []);
  const newest = marks.sort((a, b) => b.batch - a.batch)[0];
  return newest === undefined ? { kind: 'damaged' } : { kind: 'mark', mark: newest };
}

export class HighWaterFile implements Disposable {
  readonly #file: MarkFile;
  #slot = 0;
  #dirty = false;

  constructor(storage: Storage, mark: HighWaterMark) {
    this.#file = storage.openMark();
    // Both slots: the file may be new, or one of them damaged.
    this.write(mark);
    this.write(mark);
  }

  /** Blocks for some microseconds: the write goes to the page cache. */
  write(mark: HighWaterMark): void {
    this.#file.write(encode(mark), this.#slot * SLOT_BYTES);
    this.#slot = 1 - this.#slot;
    this.#dirty = true;
  }

  async sync(): Promise<void> {
    if (!this.#dirty) return;
    this.#dirty = false;
    await this.#file.sync();
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}

function encode(mark: HighWaterMark): Buffer {
  const slot = Buffer.alloc(SLOT_BYTES);
  slot.write('SWARMHW1', 0, 'latin1');
  slot.writeBigUInt64BE(BigInt(mark.batch), 8);
  slot.writeBigUInt64BE(BigInt(mark.last), 16);
  slot.writeUInt32BE(crc32(slot.subarray(0, CONTENT_BYTES)), CONTENT_BYTES);
  return slot;
}

function decode(slot: Buffer): HighWaterMark | undefined {
  if (slot.length < CONTENT_BYTES + 4) return undefined;
  if (slot.readUInt32BE(CONTENT_BYTES) !== crc32(slot.subarray(0, CONTENT_BYTES))) return undefined;
  if (slot.toString('latin1', 0, 8) !== 'SWARMHW1') return undefined;
  return { batch: Number(slot.readBigUInt64BE(8)), last: Number(slot.readBigUInt64BE(16)) };
}
