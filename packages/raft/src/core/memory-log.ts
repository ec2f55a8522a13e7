/**
 * The durable log's image in memory: all entries that have not been compacted, so that the core
 * can look up terms synchronously. The driver keeps it equal to what is on disk.
 */
import { assert } from '@swarmd/base';
import { entryBytes } from './entry-size.ts';
import type { Entry, EntryId, LogView, SnapshotMeta } from './types.ts';

export class MemoryLog implements LogView {
  /** What lies just before the first entry: compacted, or the snapshot, or nothing at all. */
  #base: EntryId;
  #entries: Entry[];
  #bytes = 0;
  /** Of the entries after the snapshot. */
  #freshBytes = 0;
  #snapshot: SnapshotMeta | undefined;

  /** `snapshot` is the newest on disk; `base` and `entries` may reach back before it. */
  constructor(
    initial: { snapshot?: SnapshotMeta; base?: EntryId; entries?: readonly Entry[] } = {},
  ) {
    this.#snapshot = initial.snapshot;
    this.#base = initial.base ?? initial.snapshot ?? { term: 0, index: 0 };
    this.#entries = [];
    this.append(initial.entries ?? []);
  }

  first(): number {
    return this.#base.index + 1;
  }

  last(): number {
    return this.#base.index + this.#entries.length;
  }

  /** Bytes that the entries carry. */
  bytes(): number {
    return this.#bytes;
  }

  /** Bytes that the entries after the newest snapshot carry. */
  bytesSinceSnapshot(): number {
    return this.#freshBytes;
  }

  /** The least index from which on, up to `last`, the entries carry at most `bytes`. */
  startOfTail(last: number, bytes: number): number {
    let sum = 0;
    for (let index = last; index >= this.first(); index--) {
      sum += this.#entries[index - this.first()]?.data.length ?? 0;
      if (sum > bytes) return index + 1;
    }
    return this.first();
  }

  term(index: number): number | undefined {
    if (index === this.#base.index) return this.#base.term;
    return this.#entries[index - this.first()]?.term;
  }

  entries(low: number, high: number, maxBytes: number): readonly Entry[] {
    assert(low >= this.first() && high <= this.last() + 1, `entries [${low}, ${high}) are there`);
    const first = this.first();
    let bytes = 0;
    let end = low;
    // Peers that lag ask for all the rest: copy only what fits.
    for (; end < high; end++) {
      const entry = this.#entries[end - first];
      if (entry) bytes += entryBytes(entry);
      if (bytes > maxBytes && end > low) break;
    }
    return this.#entries.slice(low - first, end - first);
  }

  snapshot(): SnapshotMeta | undefined {
    return this.#snapshot;
  }

  /** Replaces everything from the first of `entries` on. What is compacted already is skipped. */
  append(entries: readonly Entry[]): void {
    const fresh = entries.filter((entry) => entry.index >= this.first());
    const from = fresh[0]?.index;
    if (from === undefined) return;
    assert(from <= this.last() + 1, `entry ${from} follows the log's end at ${this.last()}`);
    this.#drop(this.#entries.splice(from - this.first()));
    for (const entry of fresh) {
      assert(entry.index === this.last() + 1, `entry ${entry.index} is contiguous`);
      this.#entries.push(entry);
      this.#count(entry, 1);
    }
  }

  /** Replaces the whole log by a snapshot that came from the leader. Older ones are ignored. */
  install(snapshot: SnapshotMeta): void {
    if (this.#snapshot && this.#snapshot.index >= snapshot.index) return;
    this.#snapshot = snapshot;
    this.#base = { term: snapshot.term, index: snapshot.index };
    this.#entries = [];
    this.#bytes = 0;
    this.#freshBytes = 0;
  }

  /** A snapshot was taken here; the log stays until `compact`. */
  setSnapshot(snapshot: SnapshotMeta): void {
    this.#snapshot = snapshot;
    this.#freshBytes = 0;
    for (let index = this.last(); index > snapshot.index && index >= this.first(); index--) {
      this.#freshBytes += this.#entries[index - this.first()]?.data.length ?? 0;
    }
  }

  /** Forgets everything up to and including `index`, which must be in the log. */
  compact(index: number): void {
    if (index <= this.#base.index) return;
    const term = this.term(index);
    assert(term !== undefined, `compacted index ${index} is in the log`);
    this.#drop(this.#entries.splice(0, index - this.#base.index));
    this.#base = { term, index };
  }

  #drop(entries: readonly Entry[]): void {
    for (const entry of entries) this.#count(entry, -1);
  }

  #count({ index, data }: Entry, sign: 1 | -1): void {
    this.#bytes += sign * data.length;
    if (index > (this.#snapshot?.index ?? 0)) this.#freshBytes += sign * data.length;
  }
}
