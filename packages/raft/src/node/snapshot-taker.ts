/**
 * Takes snapshots of the running state: asks the main thread for a picture, writes its frames to a
 * file as they come, then makes it known and forgets the entries it covers.
 */
import { assert, SwarmError } from '@swarmd/base';

import type { EntryId } from '../core/types.ts';
import type { SnapshotDescriptor, SnapshotRecord } from '../wal/header.ts';
import type { SnapshotWriter } from '../wal/snapshot-file.ts';
import type { SnapshotFolder } from '../wal/snapshot-folder.ts';
import { FRAME_WINDOW, TRAILING_ENTRIES } from './limits.ts';

export interface SnapshotTakerPorts {
  readonly folder: SnapshotFolder;
  /** Entries between two snapshots. */
  readonly every: number;
  ask(): void;
  credit(): void;
  /** Membership and term as of `index`, which the main thread has just acknowledged. */
  describe(index: number): SnapshotDescriptor;
  /** Newest entry that may be forgotten: its id, or that of the oldest one that is kept. */
  compactionPoint(index: number): EntryId;
  keep(taken: { record: SnapshotRecord; compactTo: EntryId }): void;
  onFailure(error: unknown): void;
}

interface Writing {
  readonly descriptor: SnapshotDescriptor;
  readonly writer: Promise<SnapshotWriter>;
}

export class SnapshotTaker {
  readonly #ports: SnapshotTakerPorts;
  #lastIndex: number;
  #asked = false;
  #writing: Writing | undefined;
  /** The work on the file, one step after the other. */
  #work: Promise<void> = Promise.resolve();

  constructor(lastIndex: number, ports: SnapshotTakerPorts) {
    this.#lastIndex = lastIndex;
    this.#ports = ports;
  }

  /** Its file is not known to the log yet. */
  get writing(): boolean {
    return this.#writing !== undefined;
  }

  /** A snapshot from the leader counts as well. */
  installed(index: number): void {
    this.#lastIndex = Math.max(this.#lastIndex, index);
  }

  /** After every batch that was applied. */
  consider(applied: number): void {
    if (this.#asked || applied - this.#lastIndex < this.#ports.every) return;
    this.#asked = true;
    this.#ports.ask();
  }

  begin(index: number): void {
    const descriptor = this.#ports.describe(index);
    const writer = this.#ports.folder.beginWith(descriptor);
    this.#writing = { descriptor, writer };
    this.#then(async () => {
      await writer;
      for (let i = 0; i < FRAME_WINDOW; i += 1) this.#ports.credit();
    });
  }

  frame(frame: ArrayBuffer): void {
    const writing = this.#current();
    this.#then(async () => {
      await (await writing.writer).append(new Uint8Array(frame));
      this.#ports.credit();
    });
  }

  end(): void {
    const { descriptor, writer } = this.#current();
    this.#then(async () => {
      const digest = await (await writer).finish();
      const record = this.#ports.folder.record(descriptor, digest);
      const compactTo = this.#ports.compactionPoint(descriptor.index - this.#trailing());
      this.#lastIndex = Math.max(this.#lastIndex, descriptor.index);
      this.#writing = undefined;
      this.#asked = false;
      this.#ports.keep({ record, compactTo });
    });
  }

  /** Waits for the disk and removes what is unfinished. */
  async stop(): Promise<void> {
    await this.#work;
    const writer = await this.#writing?.writer;
    await writer?.[Symbol.asyncDispose]();
  }

  #trailing(): number {
    return Math.min(this.#ports.every, TRAILING_ENTRIES);
  }

  #current(): Writing {
    assert(this.#writing !== undefined, 'a snapshot is being written');
    return this.#writing;
  }

  #then(step: () => Promise<void>): void {
    this.#work = this.#work.then(step).catch((cause: unknown) => {
      const why = 'the snapshot could not be written; check the disk and its free space';
      this.#ports.onFailure(new SwarmError('internal', why, { cause }));
    });
  }
}
