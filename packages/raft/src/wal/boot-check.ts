/**
 * Reads a stored log and decides whether it is whole: every entry from the first to the last there,
 * chained to the one before, with terms that do not decrease; a header as new as the high-water
 * mark; an identity that is ours. Anything else is damage: nothing is repaired or cut off here.
 */
import { SwarmError } from '@swarmd/base';

import type { Entry } from '../core/types.ts';
import type { RecordCipher } from './cipher.ts';
import { damaged } from './damage.ts';
import {
  decodeHeader,
  decodeIdentity,
  decodeSnapshotRecord,
  HEADER_KEY,
  IDENTITY_KEY,
  snapshotKey,
  type LogHeader,
  type LogIdentity,
  type SnapshotRecord,
} from './header.ts';
import type { HighWaterReading } from './high-water.ts';
import { decodeEntry, entryKey, keyIndex } from './record.ts';
import type { KeyValueStore } from './storage.ts';

export const FORMAT = 1;
export const KEY_CHECK_PLACE = IDENTITY_KEY;
export const KEY_CHECK_TEXT = 'swarmd raft log';

export interface StoredLog {
  readonly header: LogHeader;
  readonly entries: readonly Entry[];
  /** Checksum of the entry before `entries[0]`, then of each entry. */
  readonly crcs: readonly number[];
  /** Oldest first; the last one is the header's. */
  readonly snapshots: readonly SnapshotRecord[];
}

interface Source {
  readonly directory: string;
  readonly database: KeyValueStore;
  readonly cipher: RecordCipher | undefined;
}

/** @throws SwarmError `data-loss`, also for somebody else's log; `failed-precondition` for a wrong key. */
export async function readStoredLog(
  source: Source,
  identity: LogIdentity,
  mark: HighWaterReading,
): Promise<StoredLog> {
  const { directory } = source;
  await checkIdentity(source, identity);
  const header = decodeHeader((await source.database.get(HEADER_KEY)) ?? Buffer.alloc(0));
  if (header === undefined) throw damaged(directory, 'its header is missing or unreadable');
  checkHighWater(directory, header, mark);
  const { entries, crcs } = await readEntries(source, header);
  const snapshots = await readSnapshots(source, header);
  if (header.hard.commit > header.last || header.hard.commit < header.snapshot) {
    throw damaged(
      directory,
      `commit ${header.hard.commit} is outside of snapshot ${header.snapshot} and last ${header.last}`,
    );
  }
  return { header, entries, crcs, snapshots };
}

async function checkIdentity(source: Source, wanted: LogIdentity): Promise<void> {
  const { directory, database, cipher } = source;
  const stored = decodeIdentity((await database.get(IDENTITY_KEY)) ?? Buffer.alloc(0));
  if (stored === undefined) throw damaged(directory, 'its identity is missing or unreadable');
  if (stored.format !== FORMAT) {
    throw refused(directory, `has format ${stored.format}, this program writes ${FORMAT}`);
  }
  for (const field of ['clusterId', 'nodeId', 'raftId'] as const) {
    if (stored[field] !== wanted[field]) {
      throw damaged(
        directory,
        `it belongs to another member (its ${field} is ${stored[field]}, ours is ${wanted[field]}) ` +
          'and was probably copied, while every member needs a folder of its own',
      );
    }
  }
  if (stored.keyCheck === '') return;
  if (cipher === undefined) throw refused(directory, 'is encrypted: a key is needed to read it');
  try {
    cipher.open(Buffer.from(stored.keyCheck, 'base64'), KEY_CHECK_PLACE);
  } catch (cause) {
    throw refused(directory, 'is encrypted with another key than the given one', cause);
  }
}

function checkHighWater(directory: string, header: LogHeader, reading: HighWaterReading): void {
  // The very first batch is written just before the mark is.
  if (reading.kind === 'missing' && header.batch <= 1) return;
  if (reading.kind !== 'mark') {
    throw damaged(directory, `its high-water file is ${reading.kind}`);
  }
  const { batch, last } = reading.mark;
  if (header.batch < batch) {
    throw damaged(
      directory,
      `it ends with batch ${header.batch} (entry ${header.last}), but batch ${batch} ` +
        `(entry ${last}) was durable once`,
    );
  }
}

async function readEntries(
  source: Source,
  header: LogHeader,
): Promise<{ entries: Entry[]; crcs: number[] }> {
  const { directory, database, cipher } = source;
  const entries: Entry[] = [];
  const crcs = [header.compactedCrc];
  let crc = header.compactedCrc;
  let term = header.compacted.term;
  let next = header.compacted.index + 1;
  for await (const [key, value] of each(database, entryKey, next)) {
    const index = keyIndex(key);
    if (index !== next) {
      throw damaged(directory, `entry ${next} is missing, the next one there is ${index}`);
    }
    const decoded = decodeEntry({ key, value }, crc, cipher);
    if (decoded.kind === 'damaged') throw damaged(directory, decoded.finding);
    const { entry } = decoded;
    if (entry.term < term || entry.term > header.hard.term) {
      throw damaged(directory, `entry ${index} has term ${entry.term} after term ${term}`);
    }
    entries.push(entry);
    crcs.push(decoded.crc);
    ({ crc } = decoded);
    ({ term } = entry);
    next += 1;
  }
  if (next - 1 !== header.last || crc !== header.lastCrc) {
    throw damaged(directory, `it ends with entry ${next - 1}, its header says ${header.last}`);
  }
  return { entries, crcs };
}

async function readSnapshots(source: Source, header: LogHeader): Promise<SnapshotRecord[]> {
  const { directory, database } = source;
  const snapshots: SnapshotRecord[] = [];
  for await (const [, value] of each(database, snapshotKey, 0)) {
    const record = decodeSnapshotRecord(value);
    if (record === undefined) throw damaged(directory, 'the record of a snapshot is unreadable');
    snapshots.push(record);
  }
  const newest = snapshots.at(-1)?.descriptor.index ?? 0;
  if (newest !== header.snapshot) {
    throw damaged(
      directory,
      `its newest snapshot is ${newest}, its header says ${header.snapshot}`,
    );
  }
  if (header.snapshot < header.compacted.index) {
    throw damaged(directory, 'entries are missing between its snapshot and its first entry');
  }
  return snapshots;
}

async function* each(
  database: KeyValueStore,
  keyOf: (index: number) => Buffer,
  from: number,
): AsyncGenerator<readonly [Buffer, Buffer]> {
  const range = { gte: keyOf(from), lte: keyOf(Number.MAX_SAFE_INTEGER) };
  for await (const batch of database.scan(range)) yield* batch;
}

function refused(directory: string, why: string, cause?: unknown): SwarmError {
  return new SwarmError('failed-precondition', `the Raft log in ${directory} ${why}`, { cause });
}
