/**
 * Takes snapshots of the running state: asks the main thread for a picture, writes its frames to a
 * file as they come, then makes it known and forgets the entries it covers.
 */
import { assert, errorMessage, type Clock, type Logger } from '@swarmd/base';

import type { EntryId } from '../core/types.ts';
import type { SnapshotDescriptor, SnapshotRecord } from '../wal/header.ts';
import type { SnapshotWriter } from '../wal/snapshot-file.ts';
import type { SnapshotFolder } from '../wal/snapshot-folder.ts';
import {
  FRAME_WINDOW,
  SNAPSHOT_EVERY_BYTES,
  SNAPSHOT_RETRY_MS,
  TRAILING_ENTRIES,
} from './limits.ts';

export interface SnapshotTakerPorts {
  readonly folder: SnapshotFolder;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Entries between two snapshots. */
  readonly every: number;
  /** What the entries since the newest snapshot carry: all of it is in memory. */
  bytesSinceSnapshot(): number;
  /** Asks the main thread for a picture, gives it room for a frame, or tells it to drop the picture. */
  ask(): void;
  credit(): void;
  drop(): void;
  /**
   * Membership and term as of `index`, which the main thread has just acknowledged; undefined when
   * a newer snapshot from the leader has overtaken it.
   */
  describe(index: number): SnapshotDescriptor | undefined;
  /** The newest entry that may be forgotten after a snapshot of `index`, but for so many before it. */
  compactionPoint(index: number, trailing: number): EntryId;
  keep(taken: { record: SnapshotRecord; compactTo: EntryId }): void;
}

interface Writing {
  readonly descriptor: SnapshotDescriptor;
  readonly writer: Promise<SnapshotWriter>;
}

export class SnapshotTaker {
  readonly #ports: SnapshotTakerPorts;
  #lastIndex: number;
  /** After a failure not again before this time. */
  #notBeforeMs = -Infinity;
  #applied: number;
  /** A peer needs a snapshot from here on, sooner than it would be due. */
  #wantedFrom = 0;
  #asked = false;
  #writing: Writing | undefined;
  /** Written, and on their way into the log behind other writes. */
  readonly #waiting = new Set<SnapshotRecord>();
  /** The work on the file, one step after the other. */
  #work: Promise<void> = Promise.resolve();

  constructor(lastIndex: number, ports: SnapshotTakerPorts) {
    this.#lastIndex = lastIndex;
    this.#applied = lastIndex;
    this.#ports = ports;
  }

  /** A file is growing. */
  get writing(): boolean {
    return this.#writing !== undefined;
  }

  /** The log does not know of them yet: their files must stay. */
  waiting(): Iterable<SnapshotRecord> {
    return this.#waiting;
  }

  /** The log knows of it, or is about to, or knows of a newer one. */
  kept(record: SnapshotRecord): void {
    this.#waiting.delete(record);
  }

  /** The log knows of what was kept: it may be time for the next one. */
  settled(): void {
    this.consider(this.#applied);
  }

  /** A snapshot from the leader counts as well. */
  installed(index: number): void {
    this.#lastIndex = Math.max(this.#lastIndex, index);
  }

  /** A peer needs one of at least this index. */
  want(index: number): void {
    this.#wantedFrom = Math.max(this.#wantedFrom, index);
    this.consider(this.#applied);
  }

  /** After every batch that was applied. */
  consider(applied: number): void {
    this.#applied = applied;
    const wanted = this.#wantedFrom > this.#lastIndex ? this.#wantedFrom : Infinity;
    const due = Math.max(
      Math.min(this.#lastIndex + this.#ports.every, wanted),
      this.#lastIndex + 1,
    );
    // The log tells how much there is since the newest one that it knows of.
    const isHeavy =
      this.#waiting.size === 0 &&
      this.#ports.bytesSinceSnapshot() >= SNAPSHOT_EVERY_BYTES &&
      applied > this.#lastIndex;
    if (this.#asked || (applied < due && !isHeavy)) return;
    if (this.#ports.clock.monotonic() < this.#notBeforeMs) return;
    this.#asked = true;
    this.#ports.ask();
  }

  begin(index: number): void {
    const descriptor = this.#ports.describe(index);
    if (descriptor === undefined) {
      this.#asked = false;
      this.#ports.drop();
      return;
    }
    const writing = { descriptor, writer: this.#ports.folder.beginWith(descriptor) };
    this.#writing = writing;
    this.#then(writing, async (writer) => {
      assert(writer.frames === 1, 'the descriptor is written');
      for (let i = 0; i < FRAME_WINDOW; i += 1) this.#ports.credit();
      await Promise.resolve();
    });
  }

  frame(frame: ArrayBuffer): void {
    const writing = this.#writing;
    if (writing === undefined) return;
    this.#then(writing, async (writer) => {
      await writer.append(new Uint8Array(frame));
      this.#ports.credit();
    });
  }

  end(): void {
    const writing = this.#writing;
    if (writing === undefined) return;
    this.#then(writing, async (writer) => {
      const { descriptor } = writing;
      const digest = await writer.finish();
      const record = this.#ports.folder.record(descriptor, digest);
      const compactTo = this.#ports.compactionPoint(descriptor.index, this.#trailing());
      this.#lastIndex = Math.max(this.#lastIndex, descriptor.index);
      this.#writing = undefined;
      this.#asked = false;
      this.#waiting.add(record);
      this.#ports.keep({ record, compactTo });
    });
  }

  /** Waits for the disk and removes what is unfinished. */
  async stop(): Promise<void> {
    await this.#work;
    if (this.#writing !== undefined) await this.#abandon(this.#writing);
  }

  #trailing(): number {
    return Math.min(this.#ports.every, TRAILING_ENTRIES);
  }

  /** Nothing happens any more to a file that was abandoned. */
  #then(writing: Writing, step: (writer: SnapshotWriter) => Promise<void>): void {
    this.#work = this.#work
      .then(async () => {
        if (this.#writing === writing) await step(await writing.writer);
      })
      .catch(async (error: unknown) => {
        const { index } = writing.descriptor;
        const fields = { index, error: errorMessage(error) };
        this.#ports.logger.warn(fields, 'a snapshot could not be written; it is tried again later');
        await this.#abandon(writing);
      });
  }

  /** The log only grows longer meanwhile: no reason to stop the member. */
  async #abandon(writing: Writing): Promise<void> {
    this.#writing = undefined;
    this.#asked = false;
    this.#notBeforeMs = this.#ports.clock.monotonic() + SNAPSHOT_RETRY_MS;
    this.#ports.drop();
    try {
      await (await writing.writer)[Symbol.asyncDispose]();
    } catch (error) {
      this.#ports.logger.warn({ error: errorMessage(error) }, 'an unfinished snapshot was left');
    }
  }
}
