/** All of a member's network: listener, links to peers, snapshots in both directions. */
import type { ServiceClientConstructor } from '@grpc/grpc-js';

import type { Message } from '../../core/types.ts';
import type { MemberInfo, SnapshotRecord } from '../../wal/header.ts';
import type { LinkReport, Network, NetworkContext } from '../network.ts';
import type { RaftTls } from '../types.ts';
import { Listener } from './listener.ts';
import { Peers } from './peers.ts';
import { connectToPeer, type RaftClient } from './raft-client.ts';
import { SnapshotFetcher } from './snapshot-fetcher.ts';
import { SnapshotServer } from './snapshot-server.ts';

export class Transport implements Network {
  readonly #context: NetworkContext;
  readonly #service: ServiceClientConstructor;
  readonly #listener: Listener;
  readonly #peers: Peers;
  readonly #server: SnapshotServer;
  readonly #fetcher: SnapshotFetcher;
  #tls: RaftTls;

  constructor(context: NetworkContext, service: ServiceClientConstructor) {
    this.#context = context;
    this.#service = service;
    const { options, clock, random, logger, folder } = context;
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
      onRemoved: (peer) => context.onRemoved(peer),
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
        serveSnapshot: (sink, request) => this.#server.serve(sink, request),
      },
      options.tls,
    );
  }

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

  update(members: readonly MemberInfo[]): void {
    this.#peers.update(members);
  }

  remove(raftId: number): void {
    this.#peers.forget(raftId);
    this.#listener.dropRemoved(raftId);
  }

  refuseNodes(nodeIds: readonly string[]): void {
    this.#listener.refuseNodes(nodeIds);
  }

  replaceTls(tls: RaftTls): void {
    this.#tls = tls;
    this.#listener.replaceTls(tls);
  }

  tick(): void {
    this.#server.expire();
  }

  report(raftId: number): LinkReport {
    return this.#peers.report(raftId);
  }

  snapshotsInUse(): readonly SnapshotRecord[] {
    return this.#server.inUse();
  }

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
    const { clusterId } = this.#context.options;
    return connectToPeer(this.#service, peer, { tls: this.#tls, clusterId });
  }
}
