/**
 * The sending half of a connection to one peer: one long-lived stream, opened when there is
 * something to say and opened again after it broke. Messages are never repeated: what a full queue
 * or a broken stream loses is reported as `unreachable`, and the core probes the peer.
 */
import type { ClientWritableStream, Metadata, ServiceError } from '@grpc/grpc-js';

import { Backoff, type Clock, type Logger, type Random, type Timer } from '@swarmd/base';

import type { Message } from '../../core/types.ts';
import type { MemberInfo } from '../../wal/header.ts';
import {
  DELIVERY_BYTES,
  OPEN_TIMEOUT_MS,
  PEER_QUEUE_BYTES,
  PEER_QUEUE_MESSAGES,
  RECONNECT_FIRST_MS,
  RECONNECT_MAX_MS,
} from '../limits.ts';
import type { LinkReport } from '../network.ts';
import { CommitNotice } from './commit-notice.ts';
import { REMOVED_TRAILER } from './listener.ts';
import { encodeMessage } from './message-codec.ts';
import type { RaftClient } from './raft-client.ts';
import type { WireDelivery, WireHello, WireMessage } from './wire.ts';

/** `nodeId` is empty for a peer that only said hello so far. */
export type Peer = MemberInfo;

export interface PeerLinkContext {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** A connection of its own to the peer, with the certificates of now. */
  connect(peer: Peer): RaftClient;
  hello(to: number): WireHello;
  onUnreachable(raftId: number): void;
  /** The peer says that this member was removed from the cluster. */
  onRemoved(peer: number): void;
}

interface Connection {
  readonly client: RaftClient;
  readonly stream: ClientWritableStream<WireDelivery>;
  readonly openTimer: Timer;
}

interface Waiting {
  readonly message: WireMessage;
  readonly bytes: number;
}

/** About what a message costs beside its entries. */
const MESSAGE_OVERHEAD_BYTES = 64;

export class PeerLink implements Disposable {
  readonly peer: Peer;
  readonly #context: PeerLinkContext;
  readonly #backoff: Backoff;
  readonly #notice: CommitNotice;
  #queue: Waiting[] = [];
  #queuedBytes = 0;
  #connection: Connection | undefined;
  #congested = false;
  #retryTimer: Timer | undefined;
  #closed = false;
  /** Since the peer's answer to hello, or since there is none. */
  #state: { readonly open: boolean; readonly since: number };
  #lastError: string | undefined;

  constructor(peer: Peer, context: PeerLinkContext) {
    this.peer = peer;
    this.#context = context;
    this.#state = { open: false, since: context.clock.monotonic() };
    this.#notice = new CommitNotice(context.clock, (message) => {
      this.#enqueue(message);
      this.flush();
    });
    this.#backoff = new Backoff(
      { firstMs: RECONNECT_FIRST_MS, maxMs: RECONNECT_MAX_MS },
      context.random,
    );
  }

  /** Queues; `flush` sends. */
  enqueue(message: Message): void {
    if (!this.#closed && !this.#notice.keeps(message)) this.#enqueue(message);
  }

  flush(): void {
    if (this.#closed || this.#queue.length === 0 || this.#retryTimer !== undefined) return;
    const { stream } = (this.#connection ??= this.#open());
    while (this.#queue.length > 0 && !this.#congested) {
      this.#congested = !stream.write({ messages: this.#takeDelivery() });
    }
  }

  report(): LinkReport {
    const { open, since } = this.#state;
    return {
      connection: open ? 'open' : 'closed',
      connectionAgeMs: this.#context.clock.monotonic() - since,
      connectionError: open ? undefined : this.#lastError,
      queuedMessages: this.#queue.length,
      queuedBytes: this.#queuedBytes,
    };
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    this.#retryTimer?.cancel();
    this.#notice[Symbol.dispose]();
    this.#drop();
  }

  #enqueue(message: Message): void {
    const wire = encodeMessage(message);
    if (wire === undefined) return;
    const bytes = MESSAGE_OVERHEAD_BYTES + entryBytes(message);
    const full =
      this.#queue.length >= PEER_QUEUE_MESSAGES ||
      (this.#queue.length > 0 && this.#queuedBytes + bytes > PEER_QUEUE_BYTES);
    if (full || this.#retryTimer !== undefined) {
      this.#context.onUnreachable(this.peer.raftId);
      return;
    }
    this.#queue.push({ message: wire, bytes });
    this.#queuedBytes += bytes;
  }

  #takeDelivery(): WireMessage[] {
    let bytes = 0;
    let count = 0;
    for (const waiting of this.#queue) {
      if (count > 0 && bytes + waiting.bytes > DELIVERY_BYTES) break;
      bytes += waiting.bytes;
      count += 1;
    }
    this.#queuedBytes -= bytes;
    return this.#queue.splice(0, count).map((waiting) => waiting.message);
  }

  #open(): Connection {
    const { clock } = this.#context;
    const client = this.#context.connect(this.peer);
    const stream = client.deliver((error) => this.#broke(connection, error));
    const openTimer = clock.after(
      OPEN_TIMEOUT_MS,
      () => this.#broke(connection, new Error('no answer')),
      { unref: true },
    );
    const connection = { client, stream, openTimer };
    // The peer answers hello with its headers.
    stream.on('metadata', () => {
      openTimer.cancel();
      this.#backoff.reset();
      this.#state = { open: true, since: clock.monotonic() };
      this.#context.logger.debug({ peer: this.peer.raftId }, 'connected to peer');
    });
    stream.on('drain', () => {
      this.#congested = false;
      this.flush();
    });
    // Its reason comes to the callback above as well.
    stream.on('error', () => undefined);
    stream.write({ hello: this.#context.hello(this.peer.raftId) });
    return connection;
  }

  #broke(connection: Connection, error: ServiceError | Error | null): void {
    if (this.#connection !== connection || this.#closed) return;
    this.#drop();
    const delayMs = this.#backoff.nextMs();
    const { clock, logger } = this.#context;
    if (this.#state.open) this.#state = { open: false, since: clock.monotonic() };
    this.#lastError = error?.message ?? 'the peer ended the stream';
    logger.debug(
      { peer: this.peer.raftId, address: this.peer.address, error: error?.message, delayMs },
      'the stream to a peer broke',
    );
    this.#retryTimer = clock.after(delayMs, () => (this.#retryTimer = undefined), { unref: true });
    this.#context.onUnreachable(this.peer.raftId);
    if (removedTrailer(error)) this.#context.onRemoved(this.peer.raftId);
  }

  #drop(): void {
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#congested = false;
    const connection = this.#connection;
    if (connection === undefined) return;
    this.#connection = undefined;
    connection.openTimer.cancel();
    connection.stream.cancel();
    connection.client.close();
  }
}

function entryBytes(message: Message): number {
  if (message.kind !== 'append') return 0;
  return message.entries.reduce((sum, e) => sum + e.data.length + MESSAGE_OVERHEAD_BYTES, 0);
}

function removedTrailer(error: ServiceError | Error | null): boolean {
  if (error === null || !('metadata' in error)) return false;
  const metadata: Metadata | undefined = error.metadata;
  return metadata !== undefined && metadata.get(REMOVED_TRAILER).length > 0;
}
