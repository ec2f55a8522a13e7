/**
 * Bytes of one log entry. Stored under `e` + u64be(index) as
 *
 *     crc(4) | flags(1) | body          body = term(8) | kind(1) | data, sealed if flags says so
 *
 * The checksum (CRC-32, over key, flags and stored body) is seeded with that of the entry before,
 * so the newest one vouches for the whole log: a record that is altered, moved, missing or an older
 * version of itself breaks the chain.
 */
import { crc32 } from 'node:zlib';

import { assert } from '@swarmd/base';

import type { Entry, EntryKind } from '../core/types.ts';
import type { RecordCipher } from './cipher.ts';

const KINDS: readonly EntryKind[] = ['normal', 'confChange', 'confChangeV1'];
const SEALED = 1;
const HEAD_BYTES = 5;
const TERM_BYTES = 8;
const BODY_HEAD_BYTES = TERM_BYTES + 1;

const ENTRY_PREFIX = 'e'.charCodeAt(0);
const INDEX_BYTES = 8;

export interface StoredRecord {
  readonly key: Buffer;
  readonly value: Buffer;
  readonly crc: number;
}

export function entryKey(index: number): Buffer {
  assert(Number.isSafeInteger(index) && index >= 0, `entry index ${index}`);
  const key = Buffer.alloc(1 + INDEX_BYTES);
  key[0] = ENTRY_PREFIX;
  key.writeBigUInt64BE(BigInt(index), 1);
  return key;
}

/** The index in an entry's key, or undefined when it is no such key. */
export function keyIndex(key: Uint8Array): number | undefined {
  if (key.length !== 1 + INDEX_BYTES || key[0] !== ENTRY_PREFIX) return undefined;
  const index = Number(Buffer.from(key).readBigUInt64BE(1));
  return Number.isSafeInteger(index) ? index : undefined;
}

/** `previousCrc`: the checksum of the entry before this one. */
export function encodeEntry(
  entry: Entry,
  previousCrc: number,
  cipher: RecordCipher | undefined,
): StoredRecord {
  const key = entryKey(entry.index);
  const kind = KINDS.indexOf(entry.kind);
  assert(kind >= 0, `entry kind ${entry.kind}`);
  const plain = Buffer.allocUnsafe(HEAD_BYTES + BODY_HEAD_BYTES + entry.data.length);
  plain.writeBigUInt64BE(BigInt(entry.term), HEAD_BYTES);
  plain[HEAD_BYTES + TERM_BYTES] = kind;
  plain.set(entry.data, HEAD_BYTES + BODY_HEAD_BYTES);
  const value = cipher === undefined ? plain : sealed(plain, key, cipher);
  value[4] = cipher === undefined ? 0 : SEALED;
  const crc = chainedCrc(key, value, previousCrc);
  value.writeUInt32BE(crc, 0);
  return { key, value, crc };
}

/** The same record with its body encrypted. */
function sealed(record: Buffer, key: Buffer, cipher: RecordCipher): Buffer {
  const body = cipher.seal(record.subarray(HEAD_BYTES), key);
  const value = Buffer.allocUnsafe(HEAD_BYTES + body.length);
  value.set(body, HEAD_BYTES);
  return value;
}

export type DecodedEntry =
  | { readonly kind: 'entry'; readonly entry: Entry; readonly crc: number }
  | { readonly kind: 'damaged'; readonly finding: string };

/** What a stored record holds, or what is wrong with it. */
export function decodeEntry(
  stored: { key: Buffer; value: Buffer },
  previousCrc: number,
  cipher: RecordCipher | undefined,
): DecodedEntry {
  const { key, value } = stored;
  const index = keyIndex(key);
  const bad = (what: string): DecodedEntry => ({
    kind: 'damaged',
    finding: `entry ${index ?? key.toString('hex')} ${what}`,
  });
  if (index === undefined) return bad('has a malformed key');
  if (value.length < HEAD_BYTES + BODY_HEAD_BYTES) return bad('is cut short');
  const crc = chainedCrc(key, value, previousCrc);
  if (value.readUInt32BE(0) !== crc) return bad('fails its checksum');
  let body = value.subarray(HEAD_BYTES);
  if (value[4] === SEALED) {
    if (cipher === undefined) return bad('is encrypted and no key was given');
    try {
      body = cipher.open(body, key);
    } catch {
      return bad('cannot be decrypted with the given key');
    }
  }
  const kind = KINDS[body[TERM_BYTES] ?? KINDS.length];
  const term = Number(body.readBigUInt64BE(0));
  if (kind === undefined || !Number.isSafeInteger(term)) return bad('has an unknown form');
  const { buffer, byteOffset, length } = body;
  const data = new Uint8Array(buffer, byteOffset + BODY_HEAD_BYTES, length - BODY_HEAD_BYTES);
  return { kind: 'entry', entry: { index, term, kind, data }, crc };
}

function chainedCrc(key: Uint8Array, value: Uint8Array, previousCrc: number): number {
  return crc32(value.subarray(4), crc32(key, previousCrc));
}
