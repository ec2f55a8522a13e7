/** A member's network in the simulation: real snapshot fetching and serving over simulated links. */
import { assert, type ErrorCode } from '@swarmd/base';

import type { Message } from '../../core/types.ts';
import { SnapshotFetcher } from '../../node/transport/snapshot-fetcher.ts';
import { SnapshotServer, type SnapshotSink } from '../../node/transport/snapshot-server.ts';
import type { SnapshotStream } from '../../node/transport/raft-client.ts';
import type { WireFetchRequest, WireSnapshotFrame } from '../../node/transport/wire.ts';
import { NO_LINK, type LinkReport, type Network, type NetworkContext } from '../../node/network.ts';
import type { SnapshotRecord } from '../../wal/header.ts';

export interface LinkWorld {
  send(message: Message): void;
  /** Runs `pass` at the other end, or `lost` when the link drops it; neither if `from` is dead. */
  carry(way: { from: number; to: number }, outcome: { pass: () => void; lost: () => void }): void;
  /** The other member's network, while it runs. */
  linkOf(raftId: number): SimLink | undefined;
  /** True for a frame that is to arrive with another content. */
  garbles(): boolean;
  /** `by` ends what it has open with `removed`, and says why. */
  refuse(removed: number, by: number): void;
  /** A frame of a snapshot has arrived. */
  framePassed(from: number, to: number): void;
  /** True for an outcome of a transfer that is to be lost. */
  forgets(): boolean;
}

export class SimLink implements Network {
  readonly #context: NetworkContext;
  readonly #world: LinkWorld;
  readonly #server: SnapshotServer;
  readonly #fetcher: SnapshotFetcher;
  readonly #id: number;
  /** Nobody gets through before. */
  listening = false;

  constructor(context: NetworkContext, world: LinkWorld) {
    this.#context = context;
    this.#world = world;
    const { options, clock, logger, folder } = context;
    const { clusterId, raftId } = options;
    this.#id = raftId;
    this.#server = new SnapshotServer({
      clock,
      logger,
      folder,
      snapshots: () => context.snapshots(),
      // The core must cope with an outcome that it never hears of.
      onOutcome: (peer, ok) => {
        if (!world.forgets()) context.onSnapshotOutcome(peer, ok);
      },
    });
    this.#fetcher = new SnapshotFetcher({
      clock,
      logger,
      folder,
      self: { clusterId, raftId },
      connect: (peer) => ({
        fetchSnapshot: (request) => this.#fetch(peer, request),
        close: () => undefined,
      }),
      onFetched: (message, record) => context.onSnapshotFetched(message, record),
    });
  }

  listen(): Promise<void> {
    this.listening = true;
    return Promise.resolve();
  }

  send(messages: readonly Message[]): void {
    for (const message of messages) {
      if (message.kind === 'snapshot') this.#server.announced(message.to);
      this.#world.send(message);
    }
  }

  /** A message has arrived. */
  receive(message: Message): void {
    if (message.kind === 'snapshot' && message.snapshot.index > this.#context.committed()) {
      this.#fetcher.fetch(message);
      return;
    }
    this.#context.onMessage(message);
  }

  refuses(raftId: number): boolean {
    return this.#context.isRemoved(raftId);
  }

  /** `peer` says that this member was removed. */
  removed(peer: number): void {
    this.#context.onRemoved(peer);
  }

  lost(peer: number): void {
    this.#server.unreachable(peer);
    this.#context.onUnreachable(peer);
  }

  update(): void {
    // Everybody can be reached by number.
  }

  /** Its streams end, and with that it hears the reason. */
  remove(raftId: number): void {
    this.#world.refuse(raftId, this.#id);
  }

  replaceTls(): void {
    // No certificates here.
  }

  refuseNodes(): void {
    // None here either.
  }

  tick(): void {
    this.#server.expire();
  }

  snapshotsInUse(): readonly SnapshotRecord[] {
    return this.#server.inUse();
  }

  get fetching(): boolean {
    return this.#fetcher.busy;
  }

  report(): LinkReport {
    return NO_LINK;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#fetcher.stop();
  }

  #fetch(peer: number, request: WireFetchRequest): SnapshotStream {
    const stream = new FrameStream();
    const there = { from: this.#id, to: peer };
    const broken = (): void => stream.fail(new Error('the link broke'));
    this.#world.carry(there, {
      pass: () => {
        const link = this.#world.linkOf(peer);
        if (link === undefined) broken();
        else link.#serve(stream, request);
      },
      lost: broken,
    });
    return stream;
  }

  #serve(stream: FrameStream, request: WireFetchRequest): void {
    assert(request.last !== null, 'a fetch says which snapshot');
    const back = { from: this.#id, to: request.from };
    const world = this.#world;
    const sink: SnapshotSink = {
      send: (frame) =>
        new Promise((resolve, reject) => {
          world.carry(back, {
            pass: () => {
              world.framePassed(back.from, back.to);
              if (stream.push(frame.payload.length > 0 && world.garbles() ? garbled(frame) : frame))
                resolve();
              else reject(new Error('the follower went away'));
            },
            lost: () => {
              stream.fail(new Error('the link broke'));
              reject(new Error('the link broke'));
            },
          });
        }),
      end: () => world.carry(back, { pass: () => stream.end(), lost: () => stream.end() }),
      refuse: (code: ErrorCode, details) => stream.fail(new Error(`${code}: ${details}`)),
    };
    this.#server.serve(sink, { ...request, last: request.last });
  }
}

/** With one bit of its content flipped. */
function garbled(frame: WireSnapshotFrame): WireSnapshotFrame {
  const payload = Buffer.from(frame.payload);
  payload.writeUInt8((payload.at(-1) ?? 0) ^ 1, payload.length - 1);
  return { ...frame, payload };
}

/** Frames on their way to one reader. */
class FrameStream implements SnapshotStream {
  readonly #frames: WireSnapshotFrame[] = [];
  #error: Error | undefined;
  #ended = false;
  #wake: () => void = () => undefined;

  /** False when nobody reads any more. */
  push(frame: WireSnapshotFrame): boolean {
    if (this.#ended) return false;
    this.#frames.push(frame);
    this.#wake();
    return true;
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  fail(error: Error): void {
    this.#error ??= error;
    this.end();
  }

  cancel(): void {
    this.fail(new Error('cancelled'));
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<WireSnapshotFrame> {
    for (;;) {
      const frame = this.#frames.shift();
      if (frame !== undefined) {
        yield frame;
        continue;
      }
      if (this.#error !== undefined) throw this.#error;
      if (this.#ended) return;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}
