/** The receiving half: the Raft gRPC server of this member. It admits only members. */
import {
  Metadata,
  Server,
  status,
  type ServerReadableStream,
  type ServerWritableStream,
  type ServiceClientConstructor,
} from '@grpc/grpc-js';

import { errorMessage, SwarmError, type ErrorCode, type Logger } from '@swarmd/base';

import type { Message } from '../../core/types.ts';
import type { MemberInfo } from '../../wal/header.ts';
import { GRPC_MESSAGE_MAX_BYTES, KEEPALIVE_TIME_MS, KEEPALIVE_TIMEOUT_MS } from '../limits.ts';
import type { RaftTls } from '../types.ts';
import { peerIdentity, ServerTls } from './credentials.ts';
import { InboundSockets } from './inbound-sockets.ts';
import { decodeMessage } from './message-codec.ts';
import type { SnapshotRequest, SnapshotSink } from './snapshot-server.ts';
import type {
  WireDelivery,
  WireFetchRequest,
  WireHello,
  WireMessage,
  WireSnapshotFrame,
} from './wire.ts';

/** Trailer of a refusal for ever: the caller's raft id was removed from the cluster. */
export const REMOVED_TRAILER = 'swarm-raft-removed';

type SnapshotCall = ServerWritableStream<WireFetchRequest, WireSnapshotFrame>;

export interface ListenerContext {
  readonly service: ServiceClientConstructor;
  readonly self: { readonly clusterId: string; readonly raftId: number };
  readonly logger: Logger;
  /** What the applied membership knows of a raft id. */
  member(raftId: number): MemberInfo | undefined;
  isRemoved(raftId: number): boolean;
  incarnation(): number;
  onHello(peer: MemberInfo): void;
  onMessage(message: Message): void;
  /** Writes the frames of a snapshot and ends the call. */
  serveSnapshot(sink: SnapshotSink, request: SnapshotRequest): void;
}

/** A peer that was admitted, and how to end what it sends. */
interface Inbound {
  readonly raftId: number;
  readonly nodeId: string;
  readonly end: (refusal: Refusal | null) => void;
}

type Authenticated = Pick<SnapshotCall, 'getAuthContext'>;

interface Refusal {
  readonly code: status;
  readonly details: string;
  readonly metadata?: Metadata;
}

export class Listener implements AsyncDisposable {
  readonly #context: ListenerContext;
  readonly #server: Server;
  readonly #sockets = new InboundSockets();
  readonly #tls: ServerTls;
  readonly #streams = new Set<Inbound>();
  #refusedNodes: ReadonlySet<string> = new Set();
  #port = 0;

  constructor(context: ListenerContext, tls: RaftTls) {
    this.#context = context;
    this.#tls = new ServerTls(tls);
    this.#server = new Server({
      'grpc.max_receive_message_length': GRPC_MESSAGE_MAX_BYTES,
      'grpc.max_send_message_length': GRPC_MESSAGE_MAX_BYTES,
      'grpc.keepalive_time_ms': KEEPALIVE_TIME_MS,
      'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
    });
    this.#server.addService(context.service.service, {
      Deliver: (
        call: ServerReadableStream<WireDelivery, object>,
        end: (refusal: Refusal | null, value?: object) => void,
      ) => this.#deliver(call, end),
      FetchSnapshot: (call: SnapshotCall) => this.#fetchSnapshot(call),
    });
  }

  get port(): number {
    return this.#port;
  }

  /** @throws SwarmError `failed-precondition` when the address cannot be listened on. */
  async listen(address: { host: string; port: number }): Promise<void> {
    const host = address.host.includes(':') ? `[${address.host}]` : address.host;
    const target = `${host}:${address.port}`;
    this.#port = await new Promise<number>((resolve, reject) => {
      this.#server.bindAsync(target, this.#tls.credentials(), (cause, port) => {
        if (cause === null) resolve(port);
        else {
          const why = `cannot listen for Raft on ${target}: ${errorMessage(cause)}`;
          reject(new SwarmError('failed-precondition', why, { cause }));
        }
      });
    });
  }

  replaceTls(tls: RaftTls): void {
    this.#tls.replace(tls);
  }

  /** Ends the streams of a member that was removed, telling it so. */
  dropRemoved(raftId: number): void {
    this.#endStreams((stream) => stream.raftId === raftId);
  }

  /** As in `Raft`. */
  refuseNodes(nodeIds: readonly string[]): void {
    this.#refusedNodes = new Set(nodeIds);
    this.#endStreams((stream) => this.#refusedNodes.has(stream.nodeId));
  }

  #endStreams(which: (stream: Inbound) => boolean): void {
    for (const stream of [...this.#streams].filter(which)) stream.end(removed(stream.raftId));
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#server.forceShutdown();
    this.#sockets[Symbol.dispose]();
    return Promise.resolve();
  }

  #deliver(
    call: ServerReadableStream<WireDelivery, object>,
    end: (refusal: Refusal | null, value?: object) => void,
  ): void {
    let stream: Inbound | undefined;
    let ended = false;
    const finish = (refusal: Refusal | null): void => {
      if (ended) return;
      ended = true;
      if (stream !== undefined) this.#streams.delete(stream);
      end(refusal, {});
    };
    call.on('data', (delivery: WireDelivery) => {
      if (ended) return;
      if (stream === undefined) {
        const refusal = this.#refuseHello(call, delivery.hello ?? undefined);
        if (refusal !== undefined || !delivery.hello) {
          finish(refusal ?? null);
          return;
        }
        const { from: raftId, nodeId } = delivery.hello;
        stream = { raftId, nodeId, end: finish };
        this.#streams.add(stream);
        this.#context.onHello(memberOf(delivery.hello));
        call.sendMetadata(new Metadata());
      }
      for (const message of delivery.messages ?? []) this.#receive(message, stream.raftId);
    });
    call.on('end', () => finish(null));
    call.on('error', () => finish(null));
    call.on('cancelled', () => finish(null));
  }

  #receive(wire: WireMessage, from: number): void {
    const message = decodeMessage(wire);
    if (
      message === undefined ||
      message.from !== from ||
      message.to !== this.#context.self.raftId
    ) {
      this.#context.logger.warn({ from, message: wire.kind }, 'dropped a malformed Raft message');
      return;
    }
    this.#context.onMessage(message);
  }

  #refuseHello(call: Authenticated, hello: WireHello | undefined): Refusal | undefined {
    const { self } = this.#context;
    if (hello === undefined) {
      return { code: status.INVALID_ARGUMENT, details: 'the stream must start with hello' };
    }
    const refusal = this.#refusePeer(call, hello);
    if (refusal !== undefined) return refusal;
    if (hello.to !== self.raftId) {
      const details = `this is member ${self.raftId}, not ${hello.to}`;
      return { code: status.FAILED_PRECONDITION, details };
    }
    return undefined;
  }

  #refusePeer(
    call: Authenticated,
    claim: { clusterId: string; from: number; nodeId?: string; incarnation?: number },
  ): Refusal | undefined {
    const { self } = this.#context;
    const peer = peerIdentity(call.getAuthContext().sslPeerCertificate, self.clusterId);
    if (peer.kind === 'refused') return { code: status.PERMISSION_DENIED, details: peer.why };
    if (claim.clusterId !== self.clusterId) {
      const details = `this is a member of cluster ${self.clusterId}`;
      return { code: status.FAILED_PRECONDITION, details };
    }
    const isRefused = this.#refusedNodes.has(peer.nodeId);
    if (isRefused || this.#context.isRemoved(claim.from)) return removed(claim.from);
    const member = this.#context.member(claim.from);
    const incarnation = this.#context.incarnation();
    // A survivor cannot know whom the former cluster has taken in since: those it expels as well.
    if (member === undefined && incarnation !== 0 && claim.incarnation !== incarnation) {
      return removed(claim.from);
    }
    const expected = member?.nodeId ?? claim.nodeId ?? peer.nodeId;
    if (peer.nodeId !== expected) {
      const details = `member ${claim.from} is node ${expected}, not ${peer.nodeId}`;
      return { code: status.PERMISSION_DENIED, details };
    }
    return undefined;
  }

  #fetchSnapshot(call: SnapshotCall): void {
    const { request } = call;
    const refusal = this.#refusePeer(call, request);
    if (refusal !== undefined || request.last === null) {
      call.emit('error', refusal ?? { code: status.INVALID_ARGUMENT, details: 'which snapshot?' });
      return;
    }
    const { from, last, firstFrame } = request;
    this.#context.serveSnapshot(sinkOf(call), { from, last, firstFrame });
  }
}

const SINK_CODES: Partial<Record<ErrorCode, status>> = {
  'not-found': status.NOT_FOUND,
  'resource-exhausted': status.RESOURCE_EXHAUSTED,
};

function sinkOf(call: SnapshotCall): SnapshotSink {
  const gone = (): Error => new Error('the follower went away');
  return {
    send: (frame) =>
      new Promise((resolve, reject) => {
        if (call.cancelled) {
          reject(gone());
          return;
        }
        const onCancelled = (): void => reject(gone());
        call.once('cancelled', onCancelled);
        call.write(frame, (error?: Error | null) => {
          call.off('cancelled', onCancelled);
          if (error) reject(error);
          else resolve();
        });
      }),
    end: () => void call.end(),
    refuse: (code, details) => {
      call.emit('error', { code: SINK_CODES[code] ?? status.ABORTED, details });
    },
  };
}

function memberOf(hello: WireHello): MemberInfo {
  return { raftId: hello.from, nodeId: hello.nodeId, address: hello.address };
}

function removed(raftId: number): Refusal {
  const metadata = new Metadata();
  metadata.set(REMOVED_TRAILER, '1');
  return {
    code: status.FAILED_PRECONDITION,
    details: `member ${raftId} was removed from the cluster`,
    metadata,
  };
}
