/**
 * The whole log as Raft sees it: the durable part (LogView) followed by the unstable tail, and how
 * far it is committed, handed out and applied.
 *
 * Invariants: applied <= applying <= committed <= last, and committed never falls.
 */
import { assert } from '@swarmd/base';
import { limitBytes, payloadBytes, totalBytes } from './entry-size.ts';
import type { Entry, EntryId, LogView, SnapshotMeta } from './types.ts';
import { UnstableLog } from './unstable-log.ts';

interface Batch {
  readonly last: number;
  readonly bytes: number;
  readonly payload: number;
}

export interface RaftLogOptions {
  readonly view: LogView;
  readonly maxApplyingBytes: number;
  /** Hand out entries before they are durable here. */
  readonly applyUnstable: boolean;
}

export class RaftLog {
  readonly unstable: UnstableLog;
  readonly #view: LogView;
  readonly #maxApplyingBytes: number;
  readonly #applyUnstable: boolean;
  #committed: number;
  #applying: number;
  #applied: number;
  /** What is being applied, oldest first. */
  #batches: Batch[] = [];
  #applyingBytes = 0;
  /** The last batch was cut by its size limit: wait until something has been applied. */
  #applyingPaused = false;

  constructor(options: RaftLogOptions) {
    this.#view = options.view;
    this.#maxApplyingBytes = options.maxApplyingBytes;
    this.#applyUnstable = options.applyUnstable;
    this.unstable = new UnstableLog(options.view.last() + 1);
    this.#committed = options.view.first() - 1;
    this.#applying = this.#committed;
    this.#applied = this.#committed;
  }

  get committed(): number {
    return this.#committed;
  }

  get applied(): number {
    return this.#applied;
  }

  first(): number {
    const snapshot = this.unstable.snapshot;
    return snapshot ? snapshot.index + 1 : this.#view.first();
  }

  last(): number {
    return this.unstable.last() ?? this.#view.last();
  }

  lastId(): EntryId {
    const index = this.last();
    const term = this.term(index);
    assert(term !== undefined, `the term of the last entry ${index} is known`);
    return { term, index };
  }

  committedId(): EntryId {
    return { term: this.term(this.#committed) ?? 0, index: this.#committed };
  }

  /** Undefined for what is compacted or beyond the end. The entry before `first()` is known. */
  term(index: number): number | undefined {
    const unstable = this.unstable.term(index);
    if (unstable !== undefined) return unstable;
    if (index + 1 < this.first() || index > this.last()) return undefined;
    return this.#view.term(index);
  }

  matches(id: EntryId): boolean {
    return this.term(id.index) === id.term;
  }

  /** Raft paper, section 5.4.1: compare terms first, then length. */
  isUpToDate(candidate: EntryId): boolean {
    const own = this.lastId();
    if (candidate.term !== own.term) return candidate.term > own.term;
    return candidate.index >= own.index;
  }

  /** From `from` to the end, cut after `maxBytes`; undefined if `from` is compacted. */
  entriesFrom(from: number, maxBytes: number): readonly Entry[] | undefined {
    if (from > this.last()) return [];
    if (from < this.first()) return undefined;
    return this.slice(from, this.last() + 1, maxBytes);
  }

  slice(low: number, high: number, maxBytes: number): readonly Entry[] {
    assert(this.first() <= low && high <= this.last() + 1, `entries [${low}, ${high}) are there`);
    const offset = this.unstable.offset;
    if (low >= high) return [];
    if (low >= offset) return limitBytes(this.unstable.slice(low, high), maxBytes);
    const cut = Math.min(high, offset);
    const durable = this.#view.entries(low, cut, maxBytes);
    if (high <= offset || durable.length < cut - low) return durable;
    const room = maxBytes - totalBytes(durable);
    if (room <= 0) return durable;
    const rest = limitBytes(this.unstable.slice(offset, high), room);
    // limitBytes always lets one through, which is only right when nothing precedes it.
    if (rest.length === 1 && totalBytes(rest) > room) return durable;
    return [...durable, ...rest];
  }

  append(entries: readonly Entry[]): void {
    const from = entries[0]?.index;
    if (from === undefined) return;
    assert(
      from > this.#committed,
      `committed entries up to ${this.#committed} stay (new: ${from})`,
    );
    this.unstable.replace(entries);
  }

  /**
   * Accepts a leader's entries after `previous`: the last index that now matches the leader's, or
   * undefined if the logs do not meet at `previous`.
   */
  tryAppend(previous: EntryId, entries: readonly Entry[]): number | undefined {
    if (!this.matches(previous)) return undefined;
    const conflict = entries.find((entry) => !this.matches(entry));
    if (conflict) {
      assert(
        conflict.index > this.#committed,
        `entry ${conflict.index} does not conflict with committed ones up to ${this.#committed}`,
      );
      this.append(entries.slice(conflict.index - previous.index - 1));
    }
    return previous.index + entries.length;
  }

  /**
   * The largest index up to `index` whose term is at most `term`, and that term (0 if unknown).
   * Follower and leader both search so, which skips a whole term per message (thesis, 5.3).
   */
  findConflictByTerm(index: number, term: number): EntryId {
    for (let at = index; at > 0; at--) {
      const own = this.term(at);
      if (own === undefined) return { term: 0, index: at };
      if (own <= term) return { term: own, index: at };
    }
    return { term: 0, index: 0 };
  }

  commitTo(index: number): void {
    if (index <= this.#committed) return;
    assert(
      index <= this.last(),
      `commit ${index} is within the log, which ends at ${this.last()}: corrupted, truncated or lost?`,
    );
    this.#committed = index;
  }

  /** Commits up to `id` if that very entry is here. True if this was news. */
  tryCommit(id: EntryId): boolean {
    if (id.term === 0 || id.index <= this.#committed || !this.matches(id)) return false;
    this.commitTo(id.index);
    return true;
  }

  restore(snapshot: SnapshotMeta): void {
    this.#committed = snapshot.index;
    this.unstable.restore(snapshot);
  }

  snapshot(): SnapshotMeta | undefined {
    return this.unstable.snapshot ?? this.#view.snapshot();
  }

  hasNextCommitted(): boolean {
    if (this.#applyingPaused || this.unstable.snapshot) return false;
    return this.#applying < this.#appliable();
  }

  /** The next batch to apply; `takeCommitted` says that it was handed out. */
  nextCommitted(): readonly Entry[] {
    if (!this.hasNextCommitted()) return [];
    const room = this.#maxApplyingBytes - this.#applyingBytes;
    return this.slice(this.#applying + 1, this.#appliable() + 1, room);
  }

  takeCommitted(entries: readonly Entry[]): void {
    const last = entries.at(-1)?.index;
    if (last === undefined) return;
    const bytes = totalBytes(entries);
    this.#batches.push({ last, bytes, payload: payloadBytes(entries) });
    this.#applying = last;
    this.#applyingBytes += bytes;
    this.#applyingPaused = this.#isFull() || last < this.#appliable();
  }

  /** Applied up to `index`. Returns the bytes of content in the batches that this completes. */
  appliedTo(index: number): number {
    const target = Math.max(index, this.#applied);
    assert(target <= this.#committed, `applied ${target} is committed (${this.#committed})`);
    this.#applied = target;
    this.#applying = Math.max(this.#applying, target);
    let payload = 0;
    while (this.#batches[0] && this.#batches[0].last <= target) {
      const batch = this.#batches.shift();
      this.#applyingBytes -= batch?.bytes ?? 0;
      payload += batch?.payload ?? 0;
    }
    this.#applyingPaused = this.#isFull();
    return payload;
  }

  #isFull(): boolean {
    return this.#applyingBytes >= this.#maxApplyingBytes;
  }

  #appliable(): number {
    if (this.#applyUnstable) return this.#committed;
    return Math.min(this.#committed, this.unstable.offset - 1);
  }
}
