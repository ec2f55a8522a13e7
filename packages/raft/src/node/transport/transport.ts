/** All of a member's network: listener, links to peers, snapshots in both directions. */
import type { ServiceClientConstructor } from '@grpc/grpc-js';

import type { Clock, Logger, Random } from '@swarmd/base';

import type { Message, SnapshotMessage } from '../../core/types.ts';
import type { MemberInfo, SnapshotRecord } from '../../wal/header.ts';
import type { SnapshotFolder } from '../../wal/snapshot-folder.ts';
import type { RaftOptions, RaftTls } from '../types.ts';
import { Listener } from './listener.ts';
import type { LinkReport } from './peer-link.ts';
import { Peers } from './peers.ts';
import { connectToPeer, type RaftClient } from './raft-client.ts';
import { SnapshotFetcher } from './snapshot-fetcher.ts';
import { SnapshotServer } from './snapshot-server.ts';

export interface TransportContext {
  readonly options: RaftOptions;
  readonly service: ServiceClientConstructor;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly folder: SnapshotFolder;
  /** Those on disk. */
  snapshots(): readonly SnapshotRecord[];
  member(raftId: number): MemberInfo | undefined;
  isRemoved(raftId: number): boolean;
  /** Of the cluster, as the applied membership knows it. */
  incarnation(): number;
  /** Every message but those of snapshots that must be fetched first. */
  onMessage(message: Message): void;
  onSnapshotFetched(message: SnapshotMessage, record: SnapshotRecord): void;
  onUnreachable(peer: number): void;
  onSnapshotOutcome(peer: number, ok: boolean): void;
  onRemoved(): void;
  /** Snapshots up to here are of no use to this member. */
  committed(): number;
}

export class Transport implements AsyncDisposable {
  readonly #context: TransportContext;
  readonly #listener: Listener;
  readonly #peers: Peers;
  readonly #server: SnapshotServer;
  readonly #fetcher: SnapshotFetcher;
  #tls: RaftTls;

  constructor(context: TransportContext) {
    this.#context = context;
    const { options, service, clock, random, logger, folder } = context;
    const { clusterId, raftId, nodeId, advertise } = options;
    this.#tls = options.tls;
    const self = { clusterId, raftId };
    this.#server = new SnapshotServer({
      clock,
      logger,
      folder,
      snapshots: () => context.snapshots(),
      onOutcome: (peer, ok) => context.onSnapshotOutcome(peer, ok),
    });
    this.#fetcher = new SnapshotFetcher({
      clock,
      logger,
      folder,
      self,
      connect: (peer) => this.#connectTo(peer),
      onFetched: (message, record) => context.onSnapshotFetched(message, record),
    });
    this.#peers = new Peers(raftId, {
      clock,
      random,
      logger,
      connect: (peer) => this.#connect(peer),
      hello: (to) => ({
        clusterId,
        from: raftId,
        to,
        nodeId,
        address: advertise,
        incarnation: context.incarnation(),
      }),
      onUnreachable: (peer) => {
        this.#server.unreachable(peer);
        context.onUnreachable(peer);
      },
      onRemoved: () => context.onRemoved(),
    });
    this.#listener = new Listener(
      {
        service,
        self,
        logger,
        member: (id) => context.member(id),
        isRemoved: (id) => context.isRemoved(id),
        incarnation: () => context.incarnation(),
        onHello: (peer) => this.#peers.greet(peer),
        onMessage: (message) => this.#receive(message),
        serveSnapshot: (call, request) => this.#server.serve(call, request),
      },
      options.tls,
    );
  }

  /** @throws SwarmError `failed-precondition` when the address cannot be listened on. */
  async listen(): Promise<void> {
    await this.#listener.listen(this.#context.options.listen);
  }

  send(messages: readonly Message[]): void {
    if (messages.length === 0) return;
    for (const message of messages) {
      if (message.kind === 'snapshot') this.#server.announced(message.to);
    }
    this.#peers.send(messages);
  }

  /** The applied membership. */
  update(members: readonly MemberInfo[]): void {
    this.#peers.update(members);
  }

  /** A member was removed for ever: its streams end with that reason. */
  remove(raftId: number): void {
    this.#peers.forget(raftId);
    this.#listener.dropRemoved(raftId);
  }

  replaceTls(tls: RaftTls): void {
    this.#tls = tls;
    this.#listener.replaceTls(tls);
  }

  tick(): void {
    this.#server.expire();
  }

  /** The connection to a peer. */
  report(raftId: number): LinkReport {
    return this.#peers.report(raftId);
  }

  /** Files that are being read must stay. */
  snapshotsInUse(): readonly SnapshotRecord[] {
    return this.#server.inUse();
  }

  /** A snapshot file is being written under its final name's temporary. */
  get fetching(): boolean {
    return this.#fetcher.busy;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#peers[Symbol.dispose]();
    await this.#listener[Symbol.asyncDispose]();
    await this.#fetcher.stop();
  }

  #receive(message: Message): void {
    if (message.kind === 'snapshot' && message.snapshot.index > this.#context.committed()) {
      this.#fetcher.fetch(message);
      return;
    }
    this.#context.onMessage(message);
  }

  #connectTo(raftId: number): RaftClient | undefined {
    const peer = this.#peers.find(raftId);
    return peer === undefined ? undefined : this.#connect(peer);
  }

  #connect(peer: MemberInfo): RaftClient {
    const { service, options } = this.#context;
    return connectToPeer(service, peer, { tls: this.#tls, clusterId: options.clusterId });
  }
}
