/**
 * The small records beside the entries: `m`, whose log this is, written once; `h`, where the log
 * stands, in every batch; `s` + u64be(index), one per snapshot kept. Each carries a checksum.
 */
import { crc32 } from 'node:zlib';

import type { ConfState, EntryId, HardState, SnapshotMeta } from '../core/types.ts';

export const IDENTITY_KEY = Buffer.from('m');
export const HEADER_KEY = Buffer.from('h');
const SNAPSHOT_PREFIX = 's';

export interface LogIdentity {
  readonly clusterId: string;
  readonly nodeId: string;
  readonly raftId: number;
}

export interface StoredIdentity extends LogIdentity {
  readonly format: number;
  /** A known text sealed with the log's key, in base64; empty when the log is not encrypted. */
  readonly keyCheck: string;
}

export interface LogHeader {
  readonly hard: HardState;
  /** The entry just before the first one kept; `{0, 0}` for a log that was never compacted. */
  readonly compacted: EntryId;
  readonly compactedCrc: number;
  readonly last: number;
  readonly lastCrc: number;
  /** Counts batches. */
  readonly batch: number;
  /** Index of the newest snapshot; 0 when there is none. */
  readonly snapshot: number;
}

/** A member as the log's conf changes describe it; who votes is in the ConfState. */
export interface MemberInfo {
  readonly raftId: number;
  readonly nodeId: string;
  readonly address: string;
}

/** What a snapshot says about itself; its first frame. */
export interface SnapshotDescriptor extends SnapshotMeta {
  readonly members: readonly MemberInfo[];
  /** Raft ids that were removed: never to be used again. */
  readonly removed: readonly number[];
  /** Which cluster of that id it is, when it was founded anew by `forceNewCluster`. */
  readonly incarnation?: number;
}

export interface SnapshotRecord {
  readonly descriptor: SnapshotDescriptor;
  /** File name within the snapshots' folder. */
  readonly file: string;
  /** Hex, over the plain bytes of all frames. */
  readonly sha256: string;
  readonly frames: number;
}

export function snapshotKey(index: number): Buffer {
  const key = Buffer.alloc(9);
  key.write(SNAPSHOT_PREFIX, 0, 'latin1');
  key.writeBigUInt64BE(BigInt(index), 1);
  return key;
}

export function encodeHeader(header: LogHeader): Buffer {
  const numbers = [
    header.hard.term,
    header.hard.vote,
    header.hard.commit,
    header.compacted.index,
    header.compacted.term,
    header.compactedCrc,
    header.last,
    header.lastCrc,
    header.batch,
    header.snapshot,
  ];
  const content = Buffer.alloc(numbers.length * 8);
  numbers.forEach((value, i) => content.writeBigUInt64BE(BigInt(value), i * 8));
  return withCrc(content);
}

/** undefined when the record is damaged. */
export function decodeHeader(value: Uint8Array): LogHeader | undefined {
  const content = checked(value);
  if (content?.length !== 80) return undefined;
  const at = (i: number): number => Number(content.readBigUInt64BE(i * 8));
  return {
    hard: { term: at(0), vote: at(1), commit: at(2) },
    compacted: { index: at(3), term: at(4) },
    compactedCrc: at(5),
    last: at(6),
    lastCrc: at(7),
    batch: at(8),
    snapshot: at(9),
  };
}

/** For identity and snapshot records: JSON with a checksum in front. */
export function encodeJsonRecord(value: StoredIdentity | SnapshotRecord): Buffer {
  return withCrc(Buffer.from(JSON.stringify(value)));
}

/** undefined when the record is damaged. */
export function decodeIdentity(value: Uint8Array): StoredIdentity | undefined {
  return decodeJsonRecord(value) as StoredIdentity | undefined;
}

/** undefined when the record is damaged. */
export function decodeSnapshotRecord(value: Uint8Array): SnapshotRecord | undefined {
  return decodeJsonRecord(value) as SnapshotRecord | undefined;
}

/** The checksum vouches for the shape. */
function decodeJsonRecord(value: Uint8Array): unknown {
  const content = checked(value);
  return content === undefined ? undefined : JSON.parse(content.toString());
}

export const EMPTY_CONF: ConfState = {
  voters: [],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
};

function withCrc(content: Buffer): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(crc32(content), 0);
  return Buffer.concat([head, content]);
}

function checked(value: Uint8Array): Buffer | undefined {
  if (value.length < 4) return undefined;
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.length);
  const content = bytes.subarray(4);
  return bytes.readUInt32BE(0) === crc32(content) ? content : undefined;
}
