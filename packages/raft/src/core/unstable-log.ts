/**
 * The tail of the log that is not known to be durable: entries and at most one snapshot.
 *
 * Part of it may be on its way to the disk ("taken": index < takenTo). Invariant:
 * offset <= takenTo <= offset + entries.length. Durability is only believed for an entry whose
 * index *and* term are still here: a write of entries that were replaced meanwhile proves nothing.
 */
import { assert } from '@swarmd/base';
import type { Entry, EntryId, SnapshotMeta } from './types.ts';

export class UnstableLog {
  #entries: Entry[] = [];
  #offset: number;
  #takenTo: number;
  #snapshot: SnapshotMeta | undefined;
  #snapshotTaken = false;

  constructor(offset: number) {
    this.#offset = offset;
    this.#takenTo = offset;
  }

  /** Everything below is durable, or covered by the snapshot. */
  get offset(): number {
    return this.#offset;
  }

  get snapshot(): SnapshotMeta | undefined {
    return this.#snapshot;
  }

  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  /** Last index held here, if anything is. */
  last(): number | undefined {
    if (this.#entries.length > 0) return this.#offset + this.#entries.length - 1;
    return this.#snapshot?.index;
  }

  term(index: number): number | undefined {
    if (index < this.#offset) {
      return this.#snapshot?.index === index ? this.#snapshot.term : undefined;
    }
    return this.#entries[index - this.#offset]?.term;
  }

  slice(low: number, high: number): readonly Entry[] {
    const end = this.#offset + this.#entries.length;
    assert(this.#offset <= low && low <= high && high <= end, `unstable [${low}, ${high}) is here`);
    return this.#entries.slice(low - this.#offset, high - this.#offset);
  }

  nextEntries(): readonly Entry[] {
    return this.#entries.slice(this.#takenTo - this.#offset);
  }

  hasNextEntries(): boolean {
    return this.#takenTo < this.#offset + this.#entries.length;
  }

  nextSnapshot(): SnapshotMeta | undefined {
    return this.#snapshotTaken ? undefined : this.#snapshot;
  }

  /** All of it is on its way to the disk now. */
  take(): void {
    this.#takenTo = this.#offset + this.#entries.length;
    this.#snapshotTaken = this.#snapshot !== undefined;
  }

  /** The log is durable up to `id`, unless that entry was replaced meanwhile. */
  stored(id: EntryId): void {
    if (id.index < this.#offset || this.term(id.index) !== id.term) return;
    this.#entries = this.#entries.slice(id.index + 1 - this.#offset);
    this.#offset = id.index + 1;
    this.#takenTo = Math.max(this.#takenTo, this.#offset);
  }

  snapshotStored(index: number): void {
    if (this.#snapshot?.index !== index) return;
    this.#snapshot = undefined;
    this.#snapshotTaken = false;
  }

  restore(snapshot: SnapshotMeta): void {
    this.#offset = snapshot.index + 1;
    this.#takenTo = this.#offset;
    this.#entries = [];
    this.#snapshot = snapshot;
    this.#snapshotTaken = false;
  }

  /** Adds `entries`, dropping whatever is stored from their first index on. */
  replace(entries: readonly Entry[]): void {
    const from = entries[0]?.index;
    if (from === undefined) return;
    const end = this.#offset + this.#entries.length;
    assert(from <= end, `entry ${from} leaves no hole after ${end - 1}`);
    if (from <= this.#offset && from !== end) {
      this.#entries = [...entries];
      this.#offset = from;
      this.#takenTo = from;
      return;
    }
    this.#entries.length = from - this.#offset;
    this.#takenTo = Math.min(this.#takenTo, from);
    for (const entry of entries) this.#entries.push(entry);
  }
}
