/** What a replica asks of the network: gRPC in production (`transport/`), simulated in tests. */
import type { Clock, Logger, Random } from '@swarmd/base';

import type { Message, SnapshotMessage } from '../core/types.ts';
import type { MemberInfo, SnapshotRecord } from '../wal/header.ts';
import type { SnapshotFolder } from '../wal/snapshot-folder.ts';
import type { RaftOptions, RaftTls } from './types.ts';

/** The connection to a peer, as far as this side knows. */
export interface LinkReport {
  readonly connection: 'open' | 'closed' | 'idle';
  readonly connectionAgeMs: number | undefined;
  readonly connectionError: string | undefined;
  readonly queuedMessages: number;
  readonly queuedBytes: number;
}

/** Of a peer that nothing was sent to yet. */
export const NO_LINK: LinkReport = {
  connection: 'idle',
  connectionAgeMs: undefined,
  connectionError: undefined,
  queuedMessages: 0,
  queuedBytes: 0,
};

/** What the network asks of its replica. */
export interface NetworkContext {
  readonly options: RaftOptions;
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
  /** `peer` refuses this member, because it was removed from the cluster. */
  onRemoved(peer: number): void;
  /** Snapshots up to here are of no use to this member. */
  committed(): number;
}

export interface Network extends AsyncDisposable {
  /** @throws SwarmError `failed-precondition` when the address cannot be listened on. */
  listen(): Promise<void>;
  /** Never waits, never repeats: what is lost is reported by `onUnreachable`, if it is known. */
  send(messages: readonly Message[]): void;
  /** The applied membership. */
  update(members: readonly MemberInfo[]): void;
  /** A member was removed for ever: its streams end with that reason. */
  remove(raftId: number): void;
  replaceTls(tls: RaftTls): void;
  /** As in `Raft`. */
  refuseNodes(nodeIds: readonly string[]): void;
  tick(): void;
  /** Their files are being read and must stay. */
  snapshotsInUse(): readonly SnapshotRecord[];
  /** A snapshot file is being written that no record refers to yet. */
  readonly fetching: boolean;
  report(raftId: number): LinkReport;
}
