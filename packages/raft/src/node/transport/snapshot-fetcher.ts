/**
 * Fetches snapshots on a follower. The leader's message only says which one; this pulls its frames
 * into a file, resumes after a broken connection, and compares the digest at the end. One at a
 * time: a message for another one replaces it.
 */
import { crc32 } from 'node:zlib';

import {
  assert,
  errorMessage,
  sleep,
  SwarmError,
  type Clock,
  type Logger,
  type Timer,
} from '@swarmd/base';

import type { SnapshotMessage, SnapshotMeta } from '../../core/types.ts';
import type { SnapshotRecord } from '../../wal/header.ts';
import { decodeDescriptor, type SnapshotWriter } from '../../wal/snapshot-file.ts';
import type { SnapshotFolder } from '../../wal/snapshot-folder.ts';
import { RECONNECT_MAX_MS, SNAPSHOT_FETCH_ATTEMPTS, SNAPSHOT_IDLE_MS } from '../limits.ts';
import type { RaftClient, SnapshotStream } from './raft-client.ts';
import type { WireSnapshotFrame } from './wire.ts';

export interface SnapshotFetcherContext {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly folder: SnapshotFolder;
  readonly self: { readonly clusterId: string; readonly raftId: number };
  /** undefined when the peer's address is unknown. */
  connect(raftId: number): Pick<RaftClient, 'fetchSnapshot' | 'close'> | undefined;
  /** The file is there and checked: `message` may be stepped. */
  onFetched(message: SnapshotMessage, record: SnapshotRecord): void;
}

interface Fetch {
  readonly abort: AbortController;
  /** The newest one for this snapshot: its term counts. */
  message: SnapshotMessage;
}

/** What has arrived so far. */
interface Partial {
  readonly writer: SnapshotWriter;
  descriptorFrame: Uint8Array | undefined;
}

export class SnapshotFetcher {
  readonly #context: SnapshotFetcherContext;
  #current: Fetch | undefined;
  #work: Promise<void> = Promise.resolve();

  constructor(context: SnapshotFetcherContext) {
    this.#context = context;
  }

  get busy(): boolean {
    return this.#current !== undefined;
  }

  /** A snapshot message came in. */
  fetch(message: SnapshotMessage): void {
    const current = this.#current;
    if (current !== undefined && sameSnapshot(current.message.snapshot, message.snapshot)) {
      if (message.term >= current.message.term) current.message = message;
      return;
    }
    current?.abort.abort();
    const fetch: Fetch = { abort: new AbortController(), message };
    this.#current = fetch;
    this.#work = this.#work.then(() => this.#run(fetch));
  }

  async stop(): Promise<void> {
    this.#current?.abort.abort();
    await this.#work;
  }

  async #run(fetch: Fetch): Promise<void> {
    const { logger, folder } = this.#context;
    const { index } = fetch.message.snapshot;
    try {
      if (fetch.abort.signal.aborted) return;
      logger.info({ index, from: fetch.message.from }, 'fetching a snapshot');
      await using writer = await folder.begin(fetch.message.snapshot);
      const record = await this.#pull(fetch, { writer, descriptorFrame: undefined });
      this.#context.onFetched(fetch.message, record);
    } catch (error) {
      // The leader hears of it by its own deadline, and sends anew.
      logger.warn({ index, error: errorMessage(error) }, 'a snapshot could not be fetched');
    } finally {
      if (this.#current === fetch) this.#current = undefined;
    }
  }

  async #pull(fetch: Fetch, partial: Partial): Promise<SnapshotRecord> {
    const { clock, logger, folder } = this.#context;
    const { signal } = fetch.abort;
    for (let attempt = 1; ; attempt += 1) {
      try {
        const sha256 = await this.#pullOnce(fetch, partial);
        assert(partial.descriptorFrame !== undefined, 'a snapshot has a descriptor');
        const descriptor = decodeDescriptor(partial.descriptorFrame);
        if (!sameSnapshot(descriptor, fetch.message.snapshot)) {
          throw new SwarmError('data-loss', `the leader sent snapshot ${descriptor.index} instead`);
        }
        const digest = await partial.writer.finish();
        if (digest.sha256 !== sha256) {
          throw new SwarmError(
            'data-loss',
            'the snapshot does not have the digest it was sent with',
          );
        }
        return folder.record(descriptor, digest);
      } catch (error) {
        const final = error instanceof SwarmError && error.code === 'data-loss';
        if (signal.aborted || final || attempt === SNAPSHOT_FETCH_ATTEMPTS) throw error;
        const frames = partial.writer.frames;
        logger.info({ attempt, frames, error: errorMessage(error) }, 'resuming a snapshot fetch');
        await sleep(clock, RECONNECT_MAX_MS, signal);
      }
    }
  }

  /** From the first frame that is missing to the end; resolves with the digest as sent. */
  async #pullOnce(fetch: Fetch, partial: Partial): Promise<string> {
    const { self, clock } = this.#context;
    const { from, snapshot } = fetch.message;
    const client = this.#context.connect(from);
    if (client === undefined) {
      throw new SwarmError('unavailable', `the address of member ${from} is not known`);
    }
    const stream = client.fetchSnapshot({
      clusterId: self.clusterId,
      from: self.raftId,
      last: { index: snapshot.index, term: snapshot.term },
      firstFrame: partial.writer.frames,
    });
    const onAbort = (): void => stream.cancel();
    fetch.abort.signal.addEventListener('abort', onAbort);
    using watchdog = new IdleWatchdog(clock, stream);
    try {
      for await (const frame of stream) {
        watchdog.alive();
        const digest = await takeFrame(frame, partial);
        if (digest !== undefined) return digest;
      }
      throw new SwarmError('unavailable', 'the snapshot ended before its end');
    } finally {
      fetch.abort.signal.removeEventListener('abort', onAbort);
      stream.cancel();
      client.close();
    }
  }
}

async function takeFrame(frame: WireSnapshotFrame, partial: Partial): Promise<string | undefined> {
  if (frame.sha256.length > 0) {
    if (frame.number === partial.writer.frames) return Buffer.from(frame.sha256).toString('hex');
    throw new SwarmError('data-loss', `snapshot of ${frame.number} frames lacks some`);
  }
  if (frame.number !== partial.writer.frames || crc32(frame.payload) !== frame.crc) {
    throw new SwarmError('unavailable', `snapshot frame ${frame.number} arrived damaged`);
  }
  partial.descriptorFrame ??= frame.payload;
  await partial.writer.append(frame.payload);
  return undefined;
}

function sameSnapshot(a: SnapshotMeta, b: SnapshotMeta): boolean {
  return a.index === b.index && a.term === b.term;
}

/** Cancels the stream when no frame comes for SNAPSHOT_IDLE_MS. */
class IdleWatchdog implements Disposable {
  readonly #clock: Clock;
  readonly #stream: SnapshotStream;
  #timer: Timer;

  constructor(clock: Clock, stream: SnapshotStream) {
    this.#clock = clock;
    this.#stream = stream;
    this.#timer = this.#arm();
  }

  alive(): void {
    this.#timer.cancel();
    this.#timer = this.#arm();
  }

  [Symbol.dispose](): void {
    this.#timer.cancel();
  }

  #arm(): Timer {
    return this.#clock.after(SNAPSHOT_IDLE_MS, () => this.#stream.cancel(), { unref: true });
  }
}
