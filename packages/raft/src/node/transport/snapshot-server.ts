/**
 * Serves snapshot files to followers that fetch them, and tells the core how each transfer ended. A
 * follower that never comes, or stops on the way, is reported as failed after SNAPSHOT_IDLE_MS.
 */
import { status } from '@grpc/grpc-js';
import { crc32 } from 'node:zlib';

import { errorMessage, type Clock, type Logger } from '@swarmd/base';

import type { EntryId } from '../../core/types.ts';
import type { SnapshotRecord } from '../../wal/header.ts';
import type { SnapshotFolder } from '../../wal/snapshot-folder.ts';
import { SNAPSHOT_IDLE_MS, SNAPSHOT_SERVED_MAX } from '../limits.ts';
import type { SnapshotCall } from './listener.ts';
import type { WireSnapshotFrame } from './wire.ts';

export interface SnapshotServerContext {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly folder: SnapshotFolder;
  /** Those on disk. */
  snapshots(): readonly SnapshotRecord[];
  onOutcome(peer: number, ok: boolean): void;
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

  serve(call: SnapshotCall, request: { from: number; last: EntryId }): void {
    const { from: peer, last } = request;
    const refuse = (code: status, details: string): void => {
      call.emit('error', { code, details });
    };
    const record = this.#context
      .snapshots()
      .find(({ descriptor }) => descriptor.index === last.index && descriptor.term === last.term);
    if (record === undefined) {
      this.#finish(peer, false);
      refuse(status.NOT_FOUND, `there is no snapshot of entry ${last.index} here`);
      return;
    }
    if (this.#serving.size >= SNAPSHOT_SERVED_MAX) {
      refuse(status.RESOURCE_EXHAUSTED, 'too many snapshots are being fetched; try again');
      return;
    }
    const serving = { peer, record };
    this.#serving.add(serving);
    this.#stream(call, peer, record)
      .then(
        () => this.#finish(peer, true),
        (error: unknown) => {
          // The follower may resume; `expire` decides when it is too late for that.
          this.#context.logger.info(
            { peer, error: errorMessage(error) },
            'snapshot fetch broke off',
          );
          refuse(status.ABORTED, errorMessage(error));
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

  async #stream(call: SnapshotCall, peer: number, record: SnapshotRecord): Promise<void> {
    let number = call.request.firstFrame;
    const frames = this.#context.folder.frames(record, number);
    for (let next = await frames.next(); ; next = await frames.next()) {
      if (next.done === true) break;
      const payload = next.value;
      await send(call, { number, payload, crc: crc32(payload), sha256: NO_BYTES });
      this.announced(peer);
      number += 1;
    }
    const sha256 = Buffer.from(record.sha256, 'hex');
    await send(call, { number, payload: NO_BYTES, crc: 0, sha256 });
    call.end();
  }

  #finish(peer: number, ok: boolean): void {
    if (this.#expected.delete(peer)) this.#context.onOutcome(peer, ok);
  }
}

/** Resolves when there is room for the next frame. */
function send(call: SnapshotCall, frame: WireSnapshotFrame): Promise<void> {
  return new Promise((resolve, reject) => {
    if (call.cancelled) {
      reject(new Error('the follower went away'));
      return;
    }
    const onCancelled = (): void => reject(new Error('the follower went away'));
    call.once('cancelled', onCancelled);
    call.write(frame, (error?: Error | null) => {
      call.off('cancelled', onCancelled);
      if (error) reject(error);
      else resolve();
    });
  });
}
