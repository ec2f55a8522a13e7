/**
 * A disk that takes its time and forgets what was not synced. Writes complete in order, each as a
 * whole; a crash keeps some prefix of what was not yet safe.
 */
import { assert } from '@swarmd/base';
import type { ConfState, Entry, EntryId, HardState, SnapshotMeta } from '../../core/types.ts';
import type { Chance } from './chance.ts';

/** A state machine's content: ids of all commands applied. */
export interface StoredState {
  readonly meta: SnapshotMeta;
  readonly commands: readonly string[];
}

export interface DiskContent {
  hard: HardState;
  /** Just before `entries`. */
  base: EntryId;
  entries: Entry[];
  snapshot: StoredState;
}

export interface Write {
  readonly sync: boolean;
  readonly change: (content: DiskContent) => void;
  readonly done: () => void;
}

export class SimDisk {
  readonly #content: DiskContent;
  /** Complete, but still in a cache. */
  #unsynced: Write[] = [];
  #pending: Write[] = [];

  constructor(conf: ConfState, base: EntryId) {
    this.#content = {
      hard: { term: base.term, vote: 0, commit: base.index },
      base,
      entries: [],
      snapshot: { meta: { ...base, confState: conf }, commands: [] },
    };
  }

  /** What a crash leaves for sure. */
  get durable(): Readonly<DiskContent> {
    return this.#content;
  }

  get busy(): boolean {
    return this.#pending.length > 0;
  }

  write(write: Write): void {
    this.#pending.push(write);
  }

  /** The oldest write completes. */
  complete(): void {
    const write = this.#pending.shift();
    assert(write, 'a write is pending');
    this.#unsynced.push(write);
    if (write.sync) this.#flush();
    write.done();
  }

  crash(chance: Chance): void {
    const atRisk = [...this.#unsynced, ...this.#pending];
    const kept = chance.between(0, atRisk.length);
    this.#unsynced = atRisk.slice(0, kept);
    this.#pending = [];
    this.#flush();
  }

  /** The term of a durable entry; undefined if it is not here. A snapshot covers everything below. */
  termOf(index: number): number | 'covered' | undefined {
    const { base, entries } = this.#content;
    if (index < base.index) return 'covered';
    if (index === base.index) return base.term;
    return entries[index - base.index - 1]?.term;
  }

  #flush(): void {
    for (const write of this.#unsynced) write.change(this.#content);
    this.#unsynced = [];
  }
}

/** Drops everything from the first of `entries` on, then adds them. */
export function appendTo(content: DiskContent, entries: readonly Entry[]): void {
  const fresh = entries.filter((entry) => entry.index > content.base.index);
  const [first] = fresh;
  if (!first) return;
  content.entries.length = first.index - content.base.index - 1;
  content.entries.push(...fresh);
}

export function installOn(content: DiskContent, snapshot: StoredState): void {
  content.snapshot = snapshot;
  content.base = { term: snapshot.meta.term, index: snapshot.meta.index };
  content.entries = [];
}

/** A snapshot of its own; keeps `keep` entries before it. */
export function compactOn(content: DiskContent, snapshot: StoredState, keep: number): void {
  content.snapshot = snapshot;
  const upTo = Math.max(content.base.index, snapshot.meta.index - keep);
  const count = upTo - content.base.index;
  const last = content.entries[count - 1];
  if (!last) return;
  content.entries = content.entries.slice(count);
  content.base = { term: last.term, index: last.index };
}
