/**
 * Serves snapshot files to followers that fetch them, and tells the core how each transfer ended. A
 * follower that never comes, or stops on the way, is reported as failed after SNAPSHOT_IDLE_MS.
 */
import { crc32 } from 'node:zlib';

import { errorMessage, type Clock, type ErrorCode, type Logger } from '@swarmd/base';

import type { EntryId } from '../../core/types.ts';
import type { SnapshotRecord } from '../../wal/header.ts';
import type { SnapshotFolder } from '../../wal/snapshot-folder.ts';
import { SNAPSHOT_IDLE_MS, SNAPSHOT_SERVED_MAX } from '../limits.ts';
import type { WireSnapshotFrame } from './wire.ts';

export interface SnapshotServerContext {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly folder: SnapshotFolder;
  /** Those on disk. */
  snapshots(): readonly SnapshotRecord[];
  onOutcome(peer: number, ok: boolean): void;
}

/** The fetching side, as its server sees it. */
export interface SnapshotSink {
  /** Resolves when there is room for the next frame; rejects when the follower went away. */
  send(frame: WireSnapshotFrame): Promise<void>;
  end(): void;
  refuse(code: ErrorCode, details: string): void;
}

export interface SnapshotRequest {
  readonly from: number;
  /** Of the entry that the snapshot covers last. */
  readonly last: EntryId;
  readonly firstFrame: number;
}

interface Serving {
  readonly peer: number;
  readonly record: SnapshotRecord;
}

const NO_BYTES = new Uint8Array();

export class SnapshotServer {
  readonly #context: SnapshotServerContext;
  /** Peers that were told of a snapshot: when they were last seen fetching. */
  readonly #expected = new Map<number, number>();
  readonly #serving = new Set<Serving>();

  constructor(context: SnapshotServerContext) {
    this.#context = context;
  }

  /** A snapshot message leaves for `peer`. */
  announced(peer: number): void {
    this.#expected.set(peer, this.#context.clock.monotonic());
  }

  /** Messages to `peer` were lost, perhaps the one that told it of a snapshot. */
  unreachable(peer: number): void {
    if (!this.#isServed(peer)) this.#finish(peer, false);
  }

  /** Files that are being read must stay. */
  inUse(): readonly SnapshotRecord[] {
    return [...this.#serving].map(({ record }) => record);
  }

  /** With every tick: gives up on peers that make no progress. */
  expire(): void {
    const now = this.#context.clock.monotonic();
    for (const [peer, seen] of this.#expected) {
      if (now - seen >= SNAPSHOT_IDLE_MS) this.#finish(peer, false);
    }
  }

  serve(sink: SnapshotSink, request: SnapshotRequest): void {
    const { from: peer, last } = request;
    const record = this.#context
      .snapshots()
      .find(({ descriptor }) => descriptor.index === last.index && descriptor.term === last.term);
    if (record === undefined) {
      this.#finish(peer, false);
      sink.refuse('not-found', `there is no snapshot of entry ${last.index} here`);
      return;
    }
    if (this.#serving.size >= SNAPSHOT_SERVED_MAX) {
      sink.refuse('resource-exhausted', 'too many snapshots are being fetched; try again');
      return;
    }
    const serving = { peer, record };
    this.#serving.add(serving);
    this.#stream(sink, request, record)
      .then(
        () => this.#finish(peer, true),
        (error: unknown) => {
          // The follower may resume; `expire` decides when it is too late for that.
          this.#context.logger.info(
            { peer, error: errorMessage(error) },
            'snapshot fetch broke off',
          );
          sink.refuse('unavailable', errorMessage(error));
        },
      )
      .finally(() => this.#serving.delete(serving))
      .catch((error: unknown) => {
        this.#context.logger.error({ error: errorMessage(error) }, 'snapshot serving failed');
      });
  }

  #isServed(peer: number): boolean {
    return [...this.#serving].some((serving) => serving.peer === peer);
  }

  async #stream(
    sink: SnapshotSink,
    request: SnapshotRequest,
    record: SnapshotRecord,
  ): Promise<void> {
    let number = request.firstFrame;
    const frames = this.#context.folder.frames(record, number);
    for (let next = await frames.next(); ; next = await frames.next()) {
      if (next.done === true) break;
      const payload = next.value;
      await sink.send({ number, payload, crc: crc32(payload), sha256: NO_BYTES });
      this.announced(request.from);
      number += 1;
    }
    const sha256 = Buffer.from(record.sha256, 'hex');
    await sink.send({ number, payload: NO_BYTES, crc: 0, sha256 });
    sink.end();
  }

  #finish(peer: number, ok: boolean): void {
    if (this.#expected.delete(peer)) this.#context.onOutcome(peer, ok);
  }
}
