/**
 * Group commit: one batch on its way to the disk, everything that comes meanwhile goes into the
 * next. A change of the commit index alone is not written at once; it travels with the next batch
 * or, when there is none, with the next tick.
 */
import { assert, type Clock } from '@swarmd/base';

import type { MemoryLog } from '../core/memory-log.ts';
import type { Entry, EntryId, HardState, Ready, SnapshotMeta } from '../core/types.ts';
import type { SnapshotRecord } from '../wal/header.ts';
import type { LogStore } from '../wal/log-store.ts';
import { Durations } from './durations.ts';
import type { DurationSummary } from './types.ts';

interface Taken {
  readonly record: SnapshotRecord;
  readonly compactTo: EntryId;
}

type Job = { readonly kind: 'ready'; readonly ready: Ready } | ({ readonly kind: 'taken' } & Taken);

export interface PersisterOptions {
  readonly store: LogStore;
  readonly log: MemoryLog;
  readonly hard: HardState;
  readonly clock: Clock;
  /** The file behind a snapshot message that was stepped. */
  received(meta: SnapshotMeta): SnapshotRecord;
  /** The Readys are durable, and visible in the log. */
  onPersisted(readys: readonly Ready[]): void;
  /** One that was taken here is known to the log, or superseded. */
  onTaken(record: SnapshotRecord): void;
  /** The log refers to other snapshots than before. */
  onSnapshotKept(): void;
  onFailure(error: unknown): void;
}

export class Persister {
  readonly #options: PersisterOptions;
  #jobs: Job[] = [];
  #hard: HardState;
  #hardDirty = false;
  #writingSince: number | undefined;
  #idle: () => void = () => undefined;
  readonly #durations = new Durations();
  #stopped = false;
  #failed = false;

  constructor(options: PersisterOptions) {
    this.#options = options;
    this.#hard = options.hard;
  }

  add(ready: Ready): void {
    this.#jobs.push({ kind: 'ready', ready });
    if (ready.hard !== undefined) {
      this.#hard = ready.hard;
      this.#hardDirty = true;
    }
    this.#pump();
  }

  /** A snapshot taken here is in its file: make it known, and forget what it covers. */
  addTaken(taken: Taken): void {
    this.#jobs.push({ kind: 'taken', ...taken });
    this.#pump();
  }

  /** Milliseconds since the write under way began; 0 when there is none. */
  get writeAgeMs(): number {
    const since = this.#writingSince;
    return since === undefined ? 0 : this.#options.clock.monotonic() - since;
  }

  /** Of synced writes. */
  durations(): DurationSummary {
    return this.#durations.summary();
  }

  /** With every tick: writes a commit index that nothing else has carried. */
  flushCommit(): void {
    if (this.#hardDirty && this.#writingSince === undefined && !this.#stopped) this.#write([]);
  }

  /** No more writes; resolves when none is under way and the commit index is on disk. */
  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#writingSince !== undefined) {
      await new Promise<void>((resolve) => (this.#idle = resolve));
    }
    // What waits in `#jobs` was not acknowledged to anybody; its commit index may be beyond the log.
    if (!this.#hardDirty || this.#failed || this.#jobs.length > 0) return;
    await this.#options.store.write({ hard: this.#hard, sync: true });
  }

  #pump(): void {
    if (this.#writingSince !== undefined || this.#jobs.length === 0 || this.#stopped) return;
    const jobs = this.#jobs;
    this.#jobs = [];
    if (jobs.some(needsDisk)) this.#write(jobs);
    else this.#complete(jobs);
  }

  #write(jobs: readonly Job[]): void {
    const { store, clock } = this.#options;
    const since = clock.monotonic();
    this.#writingSince = since;
    this.#hardDirty = false;
    const change = { hard: this.#hard, sync: jobs.length > 0, ...this.#merge(jobs) };
    store.write(change).then(
      () => {
        this.#writingSince = undefined;
        if (change.sync) this.#durations.add(clock.monotonic() - since);
        if (!this.#stopped) this.#complete(jobs);
        this.#idle();
        this.#pump();
      },
      (error: unknown) => {
        // Never retried: after a failed sync nobody knows what is on the disk (fsyncgate).
        this.#stopped = true;
        this.#failed = true;
        this.#writingSince = undefined;
        this.#idle();
        this.#options.onFailure(error);
      },
    );
  }

  #merge(jobs: readonly Job[]): {
    append: Entry[];
    install?: SnapshotRecord;
    taken?: SnapshotRecord;
    compactTo?: EntryId;
  } {
    let append: Entry[] = [];
    let install: SnapshotRecord | undefined;
    let taken: Taken | undefined;
    for (const job of jobs) {
      if (job.kind === 'taken') {
        taken = job;
        continue;
      }
      const { snapshot, append: more } = job.ready;
      if (snapshot !== undefined) {
        install = this.#options.received(snapshot);
        append = [];
      }
      const from = more[0]?.index;
      if (from === undefined) continue;
      append = [...append.filter((entry) => entry.index < from), ...more];
    }
    if (!this.#isNews(taken, install)) taken = undefined;
    return {
      append,
      ...(install && { install }),
      ...(taken && { taken: taken.record, compactTo: taken.compactTo }),
    };
  }

  /** A snapshot that was taken while a newer one arrived is of no use any more. */
  #isNews(taken: Taken | undefined, install: SnapshotRecord | undefined): taken is Taken {
    if (taken === undefined) return false;
    const newest = install ?? this.#options.store.snapshots.at(-1);
    return newest === undefined || taken.record.descriptor.index > newest.descriptor.index;
  }

  #complete(jobs: readonly Job[]): void {
    const { log } = this.#options;
    const readys: Ready[] = [];
    let keptSnapshot = false;
    for (const job of jobs) {
      if (job.kind === 'taken') {
        keptSnapshot = true;
        this.#options.onTaken(job.record);
        const { descriptor } = job.record;
        if (descriptor.index > (log.snapshot()?.index ?? 0)) {
          log.setSnapshot(descriptor);
          log.compact(job.compactTo.index);
        }
        continue;
      }
      const { ready } = job;
      if (ready.snapshot !== undefined) {
        log.install(ready.snapshot);
        keptSnapshot = true;
      }
      log.append(ready.append);
      readys.push(ready);
    }
    if (readys.length > 0) this.#options.onPersisted(readys);
    if (keptSnapshot) this.#options.onSnapshotKept();
    assert(log.last() >= this.#options.store.compacted.index, 'the log reaches its snapshot');
  }
}

function needsDisk(job: Job): boolean {
  if (job.kind === 'taken') return true;
  const { append, snapshot, mustSync } = job.ready;
  return mustSync || append.length > 0 || snapshot !== undefined;
}
