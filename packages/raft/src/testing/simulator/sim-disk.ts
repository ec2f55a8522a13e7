/**
 * A disk that takes its time, forgets what was not synced, tears what was under way, fails, hangs
 * and rots. Its database behaves as LevelDB was measured to (docs of `high-water.ts`): batches are
 * atomic and ordered, an unsynced suffix may be lost, and a damaged stretch of its journal
 * disappears without a word.
 */
import { assert } from '@swarmd/base';

import { decodeHeader, decodeSnapshotRecord, HEADER_KEY, snapshotKey } from '../../wal/header.ts';
import type { KeyRange, Operation, Storage } from '../../wal/storage.ts';
import type { Dice } from '@swarmd/base/testing';
import { MountedDisk } from './mounted-disk.ts';

type Batch = readonly Operation[];

interface Pending {
  readonly operations: Batch;
  readonly sync: boolean;
}

export interface FileContent {
  bytes: Buffer;
  synced: Buffer;
}

/** Batches that are still in the journal, where damage can make them disappear. */
const JOURNAL_BATCHES = 40;

export interface DiskWorld {
  /** Runs `fn` after a delay of the disk's choice, unless the member has crashed meanwhile. */
  later(fn: () => void, on: DiskPart): void;
  /** Something is about to happen to the disk. */
  moment(what: DiskMoment): void;
  /** The log is about to refer to a snapshot whose file is not there. */
  missing(file: string): void;
}

/** A database may be busy with itself while files are written as fast as ever. */
export type DiskPart = 'database' | 'file';

export type DiskMoment = 'compaction' | 'truncation' | 'snapshot write' | 'snapshot rename';

export class SimDisk {
  readonly chance: Dice;
  /** Content by key (latin1), without what is in the journal. */
  readonly #tables = new Map<string, Buffer>();
  #journal: Batch[] = [];
  #unsynced: Batch[] = [];
  #pending: Pending[] = [];
  #view = new Map<string, Buffer>();
  #mark: FileContent | undefined;
  readonly #files = new Map<string, FileContent>();
  /** Somebody damaged it: what it once promised may be gone. */
  damaged = false;
  /** The number of the newest batch that was synced: no later start may know of less. */
  promisedBatch = 0;
  /** Every write fails until `repair`. */
  failing = false;
  /** Writes to files fail, as on a disk with little room left. */
  full = false;
  /** It has failed in the present life of the member, although it may be well again. */
  hasFailed = false;

  constructor(chance: Dice) {
    this.chance = chance;
  }

  /** For one life of the member. */
  mount(world: DiskWorld): Storage {
    this.hasFailed = false;
    return new MountedDisk(this, world);
  }

  /** A durable value; what a quorum's promise is checked against. */
  durable(key: Buffer): Buffer | undefined {
    const name = key.toString('latin1');
    for (const batch of this.#journal.toReversed()) {
      const operation = batch.findLast((one) => one.key.toString('latin1') === name);
      if (operation !== undefined) return operation.type === 'put' ? operation.value : undefined;
    }
    return this.#tables.get(name);
  }

  repair(): void {
    this.failing = false;
    this.full = false;
  }

  /** `power`: what was not synced may be gone, in order; else only the process was killed. */
  crash(kind: 'kill' | 'power'): void {
    const atRisk = [...this.#unsynced, ...this.#pending.map(({ operations }) => operations)];
    const sure = kind === 'kill' ? this.#unsynced.length : 0;
    const kept = this.chance.between(sure, atRisk.length);
    this.#pending = [];
    this.#unsynced = [];
    for (const batch of atRisk.slice(0, kept)) this.#toJournal(batch);
    if (kind === 'power') {
      if (this.#mark) this.#mark.bytes = this.#tornOf(this.#mark);
      for (const file of this.#files.values()) file.bytes = this.#tornOf(file);
    }
    this.#refresh();
  }

  /** What it did, in words; undefined when there was nothing to damage. */
  rot(): string | undefined {
    const damage = this.chance.maybe([
      () => this.#loseJournal(),
      () => this.#loseJournal(),
      () => this.#flipValue(),
      () => this.#flipFile(),
      () => this.#flipMark(),
      () => this.#wipe(),
    ]);
    const what = damage?.();
    if (what !== undefined) this.damaged = true;
    this.#refresh();
    return what;
  }

  /** Everything in the database, and nothing else, as if it had always been there. */
  load(content: readonly (readonly [Buffer, Buffer])[], mark: Buffer | undefined): void {
    for (const [key, value] of content) this.#tables.set(key.toString('latin1'), value);
    if (mark) this.#mark = { bytes: mark, synced: mark };
    this.#refresh();
  }

  // What follows is for MountedDisk.

  get(key: Buffer): Buffer | undefined {
    return this.#view.get(key.toString('latin1'));
  }

  scan({ gte, lte }: KeyRange): [Buffer, Buffer][] {
    const [from, to] = [gte.toString('latin1'), lte.toString('latin1')];
    const keys = [...this.#view.keys()].filter((key) => key >= from && key <= to).sort();
    return keys.map((key) => [
      Buffer.from(key, 'latin1'),
      Buffer.from(this.#view.get(key) ?? Buffer.alloc(0)),
    ]);
  }

  isEmpty(): boolean {
    return this.#view.size === 0;
  }

  begin(pending: Pending): void {
    this.#pending.push(pending);
  }

  /** The oldest batch reaches the disk. @throws when the disk fails: nobody knows what is there. */
  complete(pending: Pending): void {
    if (this.failing) {
      this.hasFailed = true;
      this.#pending = this.#pending.filter((other) => other !== pending);
      if (this.chance.happens(0.5)) this.#unsynced.push(pending.operations);
      throw new Error('input/output error');
    }
    assert(this.#pending.shift() === pending, 'batches complete in order');
    this.#unsynced.push(pending.operations);
    this.#applyTo(this.#view, pending.operations);
    if (!pending.sync) return;
    for (const batch of this.#unsynced) this.#toJournal(batch);
    this.#unsynced = [];
    this.promisedBatch = this.storedBatch() ?? this.promisedBatch;
  }

  /** What the log's header says now. */
  storedBatch(): number | undefined {
    const header = this.durable(HEADER_KEY);
    return header && decodeHeader(header)?.batch;
  }

  /** Files of snapshots that `operations` make known, and that are not there. */
  missingFiles(operations: Batch): string[] {
    return operations
      .filter((one) => one.type === 'put' && isSnapshotKey(one.key))
      .map((one) => (one.type === 'put' ? decodeSnapshotRecord(one.value)?.file : undefined))
      .filter((file) => file !== undefined)
      .filter((file) => !this.#files.has(file));
  }

  /** Whether the log knows of that snapshot. */
  refersTo(file: string): boolean {
    return this.scan({ gte: snapshotKey(0), lte: snapshotKey(Number.MAX_SAFE_INTEGER) }).some(
      ([, value]) => decodeSnapshotRecord(value)?.file === file,
    );
  }

  clear(range: KeyRange): void {
    const operations = this.scan(range).map(([key]) => ({ type: 'del' as const, key }));
    // Some of it, in no order that matters: it is not atomic.
    this.#unsynced.push(operations);
    this.#applyTo(this.#view, operations);
  }

  get mark(): FileContent | undefined {
    return this.#mark;
  }

  makeMark(): FileContent {
    return (this.#mark ??= { bytes: Buffer.alloc(0), synced: Buffer.alloc(0) });
  }

  get files(): Map<string, FileContent> {
    return this.#files;
  }

  /** @throws when writes fail now. */
  checkWritable(kind: 'mark' | 'file'): void {
    if (this.failing) {
      this.hasFailed = true;
      throw new Error('input/output error');
    }
    if (kind === 'file' && this.full) throw new Error('no space left on device');
  }

  #toJournal(batch: Batch): void {
    this.#journal.push(batch);
    while (this.#journal.length > JOURNAL_BATCHES) {
      this.#applyTo(this.#tables, this.#journal.shift() ?? []);
    }
  }

  #applyTo(map: Map<string, Buffer>, batch: Batch): void {
    for (const operation of batch) {
      const key = operation.key.toString('latin1');
      if (operation.type === 'put') map.set(key, operation.value);
      else map.delete(key);
    }
  }

  #refresh(): void {
    this.#view = new Map(this.#tables);
    for (const batch of this.#journal) this.#applyTo(this.#view, batch);
  }

  /** Some prefix of what was written after the last sync, over what was there before. */
  #tornOf({ bytes, synced }: FileContent): Buffer {
    if (bytes.equals(synced)) return bytes;
    const cut = this.chance.between(0, bytes.length);
    return Buffer.concat([bytes.subarray(0, cut), synced.subarray(cut)]);
  }

  #loseJournal(): string | undefined {
    if (this.#journal.length === 0) return undefined;
    const from = this.chance.between(0, this.#journal.length - 1);
    const count = this.chance.between(1, this.#journal.length - from);
    this.#journal.splice(from, count);
    return `lost ${count} batches of its journal`;
  }

  #flipValue(): string | undefined {
    const key = this.chance.maybe([...this.#tables.keys()].sort());
    const value = key === undefined ? undefined : this.#tables.get(key);
    if (key === undefined || value === undefined || value.length === 0) return undefined;
    this.#tables.set(key, this.#flipped(value));
    return `flipped a bit of the value of ${Buffer.from(key, 'latin1').toString('hex')}`;
  }

  #flipFile(): string | undefined {
    const name = this.chance.maybe([...this.#files.keys()].sort());
    const file = name === undefined ? undefined : this.#files.get(name);
    if (name === undefined || file === undefined || file.bytes.length === 0) return undefined;
    file.bytes = this.#flipped(file.bytes);
    file.synced = file.bytes;
    return `flipped a bit of ${name}`;
  }

  #flipMark(): string | undefined {
    if (this.#mark === undefined || this.#mark.bytes.length === 0) return undefined;
    this.#mark.bytes = this.#flipped(this.#mark.bytes);
    this.#mark.synced = this.#mark.bytes;
    return 'flipped a bit of the high-water mark';
  }

  #wipe(): string {
    this.#tables.clear();
    this.#journal = [];
    const all = this.chance.happens(0.5);
    if (all) {
      this.#files.clear();
      this.#mark = undefined;
    }
    return all ? 'wiped everything' : 'wiped the log';
  }

  #flipped(bytes: Buffer): Buffer {
    const copy = Buffer.from(bytes);
    const at = this.chance.between(0, copy.length - 1);
    copy[at] = (copy[at] ?? 0) ^ (1 << this.chance.between(0, 7));
    return copy;
  }
}

function isSnapshotKey(key: Buffer): boolean {
  const first = snapshotKey(0);
  return key.length === first.length && key[0] === first[0];
}
