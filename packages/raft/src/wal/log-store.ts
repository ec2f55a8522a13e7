/**
 * The durable log of one member: keys and values, the high-water mark beside them. One batch at a
 * time; each is atomic, carries the header and, when `sync` is set, is on the disk once it resolves.
 * After a failed write the store refuses every other: what the disk holds is then unknown.
 */
import { assert, errorMessage, SwarmError } from '@swarmd/base';

import type { Entry, EntryId, HardState } from '../core/types.ts';
import {
  FORMAT,
  KEY_CHECK_PLACE,
  KEY_CHECK_TEXT,
  readStoredLog,
  type StoredLog,
} from './boot-check.ts';
import type { RecordCipher } from './cipher.ts';
import { damaged } from './damage.ts';
import {
  encodeHeader,
  encodeJsonRecord,
  HEADER_KEY,
  IDENTITY_KEY,
  snapshotKey,
  type LogHeader,
  type LogIdentity,
  type SnapshotRecord,
} from './header.ts';
import { HighWaterFile, readHighWater } from './high-water.ts';
import { SNAPSHOTS_KEPT } from './limits.ts';
import { encodeEntry, entryKey } from './record.ts';
import type { KeyValueStore, Operation, Storage } from './storage.ts';

export interface LogStoreOptions {
  readonly storage: Storage;
  readonly identity: LogIdentity;
  /** `create` makes an empty folder into a log; both accept a log of this very member. */
  readonly start: 'create' | 'restart';
  readonly cipher?: RecordCipher | undefined;
}

/** One atomic change. */
export interface LogWrite {
  readonly hard?: HardState | undefined;
  /** Contiguous; replaces everything from `append[0].index` on. */
  readonly append?: readonly Entry[];
  /** A snapshot received from the leader: replaces the whole log, before `append`. */
  readonly install?: SnapshotRecord | undefined;
  /** A snapshot taken here; the log stays. */
  readonly taken?: SnapshotRecord | undefined;
  /** Forgets the entries up to this one, which a snapshot covers. */
  readonly compactTo?: EntryId | undefined;
  readonly sync: boolean;
}

export interface OpenedLog {
  readonly store: LogStore;
  readonly stored: StoredLog;
  /** True when the folder was empty and a new log was made. */
  readonly created: boolean;
}

const FRESH: LogHeader = {
  hard: { term: 0, vote: 0, commit: 0 },
  compacted: { index: 0, term: 0 },
  compactedCrc: 0,
  last: 0,
  lastCrc: 0,
  batch: 0,
  snapshot: 0,
};

export class LogStore implements AsyncDisposable {
  readonly #database: KeyValueStore;
  readonly #highWater: HighWaterFile;
  readonly #cipher: RecordCipher | undefined;
  readonly #directory: string;
  #header: LogHeader;
  /** `#crcs[i]` belongs to entry `#header.compacted.index + i`. */
  #crcs: number[];
  #snapshots: readonly SnapshotRecord[];
  /** As of the last write that is done: the one under way may let go of some. */
  #writtenSnapshots: readonly SnapshotRecord[];
  #writing = false;
  #failure: SwarmError | undefined;
  #clearing: Promise<void> = Promise.resolve();

  private constructor(
    parts: { database: KeyValueStore; highWater: HighWaterFile; options: LogStoreOptions },
    stored: StoredLog,
  ) {
    this.#database = parts.database;
    this.#highWater = parts.highWater;
    this.#cipher = parts.options.cipher;
    this.#directory = parts.options.storage.place;
    this.#header = stored.header;
    this.#crcs = [...stored.crcs];
    this.#snapshots = stored.snapshots;
    this.#writtenSnapshots = stored.snapshots;
  }

  /**
   * @throws SwarmError `data-loss` for a log that is damaged, wiped or of another member,
   * `failed-precondition` for one that is in use or encrypted with another key.
   */
  static async open(options: LogStoreOptions): Promise<OpenedLog> {
    const { storage, cipher } = options;
    const directory = storage.place;
    const mark = readHighWater(storage);
    const database = await storage.openDatabase();
    try {
      const created = await database.isEmpty();
      if (created) {
        if (options.start === 'restart' || mark.kind !== 'missing') {
          throw damaged(directory, 'it is empty although this member has had a log: it was wiped');
        }
        await create(database, options);
      }
      const stored = await readStoredLog({ directory, database, cipher }, options.identity, mark);
      const { batch, last } = stored.header;
      const highWater = new HighWaterFile(storage, { batch, last });
      await highWater.sync();
      const store = new LogStore({ database, highWater, options }, stored);
      store.#clearInBackground();
      return { store, stored, created };
    } catch (error) {
      await database.close();
      throw error;
    }
  }

  /** Newest last. */
  get snapshots(): readonly SnapshotRecord[] {
    return this.#snapshots;
  }

  /** Those that the disk refers to, whether or not the write under way gets there. */
  get referenced(): readonly SnapshotRecord[] {
    return [...new Set([...this.#writtenSnapshots, ...this.#snapshots])];
  }

  get compacted(): EntryId {
    return this.#header.compacted;
  }

  /**
   * Resolves when the batch is durable (`sync`) or handed to the kernel. Not to be called while
   * another write is under way.
   * @throws SwarmError `internal` when the disk refuses; the store is of no use after that.
   */
  async write(change: LogWrite): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    assert(!this.#writing, 'one batch at a time');
    this.#writing = true;
    const operations = this.#plan(change);
    try {
      await this.#database.batch(operations, { sync: change.sync });
      const { batch, last } = this.#header;
      if (change.sync) this.#highWater.write({ batch, last });
      this.#writtenSnapshots = this.#snapshots;
    } catch (cause) {
      throw this.#fail(cause);
    } finally {
      this.#writing = false;
    }
    if (change.compactTo !== undefined) this.#clearInBackground();
  }

  /** To be called about once a second. */
  async syncHighWater(): Promise<void> {
    try {
      await this.#highWater.sync();
    } catch (cause) {
      throw this.#fail(cause);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#clearing;
    if (this.#failure === undefined) await this.#highWater.sync();
    this.#highWater[Symbol.dispose]();
    await this.#database.close();
  }

  /** The operations of a batch; what it means for the header is taken over at once. */
  #plan(change: LogWrite): Operation[] {
    const operations: Operation[] = [];
    if (change.install !== undefined) this.#planInstall(change.install, operations);
    if (change.taken !== undefined) this.#planSnapshot(change.taken, operations);
    if (change.append !== undefined && change.append.length > 0) {
      this.#planAppend(change.append, operations);
    }
    if (change.compactTo !== undefined) this.#planCompaction(change.compactTo);
    this.#header = {
      ...this.#header,
      hard: change.hard ?? this.#header.hard,
      batch: this.#header.batch + 1,
      lastCrc: this.#crcs.at(-1) ?? 0,
    };
    operations.push({ type: 'put', key: HEADER_KEY, value: encodeHeader(this.#header) });
    return operations;
  }

  #planInstall(record: SnapshotRecord, operations: Operation[]): void {
    const { index, term } = record.descriptor;
    const { compacted, last } = this.#header;
    for (let i = compacted.index + 1; i <= last; i += 1) {
      operations.push({ type: 'del', key: entryKey(i) });
    }
    this.#crcs = [0];
    this.#header = { ...this.#header, compacted: { index, term }, compactedCrc: 0, last: index };
    this.#planSnapshot(record, operations);
  }

  #planSnapshot(record: SnapshotRecord, operations: Operation[]): void {
    const { index } = record.descriptor;
    assert(index > this.#header.snapshot, `snapshot ${index} is newer than the one before`);
    operations.push({ type: 'put', key: snapshotKey(index), value: encodeJsonRecord(record) });
    const all = [...this.#snapshots, record];
    for (const old of all.slice(0, -SNAPSHOTS_KEPT)) {
      operations.push({ type: 'del', key: snapshotKey(old.descriptor.index) });
    }
    this.#snapshots = all.slice(-SNAPSHOTS_KEPT);
    this.#header = { ...this.#header, snapshot: index };
  }

  #planAppend(entries: readonly Entry[], operations: Operation[]): void {
    const from = entries[0]?.index ?? 0;
    const { compacted, last } = this.#header;
    assert(from > compacted.index && from <= last + 1, `append at ${from} after ${last}`);
    this.#crcs.length = from - compacted.index;
    let crc = this.#crcs.at(-1) ?? 0;
    let next = from;
    for (const entry of entries) {
      assert(entry.index === next, `entry ${entry.index} follows ${next - 1}`);
      const record = encodeEntry(entry, crc, this.#cipher);
      operations.push({ type: 'put', key: record.key, value: record.value });
      ({ crc } = record);
      this.#crcs.push(crc);
      next += 1;
    }
    for (let i = next; i <= last; i += 1) operations.push({ type: 'del', key: entryKey(i) });
    this.#header = { ...this.#header, last: next - 1 };
  }

  #planCompaction(upTo: EntryId): void {
    const { compacted, last, snapshot } = this.#header;
    assert(upTo.index >= compacted.index && upTo.index <= last, `compaction to ${upTo.index}`);
    assert(upTo.index <= snapshot, `a snapshot covers entry ${upTo.index}`);
    this.#crcs.splice(0, upTo.index - compacted.index);
    this.#header = { ...this.#header, compacted: upTo, compactedCrc: this.#crcs[0] ?? 0 };
  }

  /**
   * Deletes what lies before the first entry. Neither atomic nor synced, and need not be: readers
   * start at the header's first entry, and the next start finishes it.
   */
  #clearInBackground(): void {
    const end = entryKey(this.#header.compacted.index);
    this.#clearing = this.#clearing
      .then(() => this.#database.clear({ gte: entryKey(0), lte: end }))
      .catch((cause: unknown) => {
        this.#fail(cause);
      });
  }

  #fail(cause: unknown): SwarmError {
    this.#failure ??= new SwarmError(
      'internal',
      `the Raft log in ${this.#directory} could not be written (${errorMessage(cause)}): this ` +
        'member stops, because it can no longer tell what is on the disk. Check the disk and its ' +
        'free space, then start it again',
      { cause },
    );
    return this.#failure;
  }
}

async function create(database: KeyValueStore, options: LogStoreOptions): Promise<void> {
  const keyCheck = options.cipher?.seal(Buffer.from(KEY_CHECK_TEXT), KEY_CHECK_PLACE);
  const identity = {
    format: FORMAT,
    keyCheck: keyCheck?.toString('base64') ?? '',
    ...options.identity,
  };
  await database.batch(
    [
      { type: 'put', key: IDENTITY_KEY, value: encodeJsonRecord(identity) },
      { type: 'put', key: HEADER_KEY, value: encodeHeader({ ...FRESH, batch: 1 }) },
    ],
    { sync: true },
  );
}
