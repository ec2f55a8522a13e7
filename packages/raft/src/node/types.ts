/** The driver as its user sees it: a replicated log of opaque entries, and a state machine fed by it. */
import type { Clock, Logger, NextTurn } from '@swarmd/base';

export interface RaftMember {
  readonly raftId: number;
  /** Opaque to Raft: the node the member runs on. */
  readonly nodeId: string;
  /** host:port of its Raft listener. */
  readonly address: string;
  readonly role: 'voter' | 'learner';
}

export interface RaftTls {
  readonly certificatePem: string;
  readonly keyPem: string;
  /** Roots that peers' certificates must descend from. */
  readonly caPem: string;
}

export interface AppliedEntry {
  readonly index: number;
  readonly term: number;
  /** Empty for Raft's own entries (a new leader's first, membership changes): nothing to apply. */
  readonly data: Uint8Array;
}

/** Lives on the main thread. Sees committed entries once each, in order of index, without gaps. */
export interface StateMachine {
  apply(entries: readonly AppliedEntry[]): void;
  /**
   * A consistent picture as of the last applied entry. Must not be affected by later `apply` calls
   * while it is being read.
   */
  snapshot(): Iterable<Uint8Array>;
  /**
   * Begins to replace the whole state by a snapshot taken at `index`. Others may look at the state
   * between the chunks: it stays as it is until `finish`. May be given up, or begun anew.
   */
  restore(index: number): Restoring;
}

/** Takes the chunks of a snapshot as they come, so that nobody holds all of them. */
export interface Restoring {
  /** In order. The bytes are only lent. */
  take(chunk: Uint8Array): void;
  finish(): void;
}

export interface RaftTiming {
  readonly tickMs: number;
  readonly heartbeatTicks: number;
  readonly electionTicks: number;
}

export interface RaftOptions {
  /** Folder of the log and snapshots; created when missing. */
  readonly directory: string;
  readonly clusterId: string;
  readonly nodeId: string;
  readonly raftId: number;
  /**
   * bootstrap: first member of a new cluster. join: a member that the leader has just added, with an
   * empty log. restart: everything is on disk already.
   */
  readonly start: 'bootstrap' | 'join' | 'restart';
  readonly listen: { readonly host: string; readonly port: number };
  /** host:port that peers use to reach this member. */
  readonly advertise: string;
  readonly tls: RaftTls;
  /** 32 bytes: encrypts log records and snapshots at rest. */
  readonly encryptionKey?: Uint8Array;
  readonly timing?: RaftTiming;
  /**
   * With `restart`, and only when the other members are lost for good: this member keeps its log
   * and state and becomes the only voter of a new cluster with the same id. The others' Raft ids are
   * refused for ever; who comes back joins anew with an empty folder. Means nothing to a member that
   * is alone already, so it may stay set.
   */
  readonly forceNewCluster?: boolean;
  /** Entries between two snapshots; 10,000 unless said otherwise. */
  readonly snapshotEvery?: number;
}

export interface RaftDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
  /** When frames of a snapshot have their turn, each small work; with other callbacks of the event loop unless given. */
  readonly nextTurn?: NextTurn;
  /** Of the worker's entry; `worker.ts` beside this package's sources unless said otherwise. */
  readonly workerUrl?: URL;
  /** Folder of `swarm/v1/raft.proto`; found beside sources or bundle unless said otherwise. */
  readonly protoDir?: string;
}

export interface PeerProgress {
  readonly raftId: number;
  readonly state: 'probe' | 'replicate' | 'snapshot';
  readonly match: number;
  readonly next: number;
  readonly recentlyActive: boolean;
}

export interface RaftStatus {
  readonly raftId: number;
  readonly role: 'follower' | 'pre-candidate' | 'candidate' | 'leader' | 'learner';
  readonly term: number;
  /** 0 when none is known. */
  readonly leader: number;
  readonly commit: number;
  readonly applied: number;
  readonly first: number;
  readonly last: number;
  readonly members: readonly RaftMember[];
  /** Only on the leader. */
  readonly progress: readonly PeerProgress[];
}

export interface DurationSummary {
  /** Since the start; the same holds for `totalMs` and `maxMs`. */
  readonly count: number;
  readonly totalMs: number;
  /** Of the newest 1,024; 0 while there are none. So are p99 and `recentMaxMs`. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly recentMaxMs: number;
  readonly maxMs: number;
}

/** The leader's view of a peer's log. */
export interface ReplicationReport {
  readonly state: PeerProgress['state'];
  /** The newest entry that is known to be equal in both logs. */
  readonly match: number;
  /** The entry that is sent next. */
  readonly next: number;
  /** Entries that the leader has and the peer is not known to have. */
  readonly behind: number;
  /** Append messages without an answer, and the bytes of their entries. */
  readonly inflightMessages: number;
  readonly inflightBytes: number;
  /** Index of the snapshot that is on its way; 0 when none is. */
  readonly pendingSnapshot: number;
}

/** Another member, as this one sees it. */
export interface PeerReport extends RaftMember {
  /**
   * Of the stream from here to there. `idle`: there was nothing to say yet, which is usual between
   * followers.
   */
  readonly connection: 'open' | 'closed' | 'idle';
  /** Since when it is so; undefined for `idle`. */
  readonly connectionAgeMs: number | undefined;
  /** Why the last attempt failed, when it is closed. */
  readonly connectionError: string | undefined;
  /** Since a message of the peer arrived; undefined when none has since this member's start. */
  readonly lastContactMs: number | undefined;
  /** Messages that wait for the stream to take them, and about how many bytes they are. */
  readonly queuedMessages: number;
  readonly queuedBytes: number;
  /** Only on the leader. */
  readonly replication: ReplicationReport | undefined;
  /** What keeps the peer from being up to date, in words for an operator; '' when nothing does. */
  readonly limit: string;
}

/** All about one member, for operators and metrics. */
export interface RaftReport extends RaftStatus {
  /** Newest entry that the newest snapshot on disk covers; 0 when there is none. */
  readonly snapshot: number;
  /** Entries that are kept, and the bytes they carry. */
  readonly logEntries: number;
  readonly logBytes: number;
  /** Since the leader was heard; 0 on the leader; undefined when none is known. */
  readonly leaderContactMs: number | undefined;
  /** Whom leadership is being handed to; 0 for nobody. */
  readonly transferTarget: number;
  /** Synced writes to the log. */
  readonly writes: DurationSummary;
  /** Age of the write that is under way; 0 when none is. */
  readonly writeAgeMs: number;
  /** By how much ticks came too late. */
  readonly tickLateness: DurationSummary;
  /** Every other member, ascending by Raft id. */
  readonly peers: readonly PeerReport[];
}

export type MembershipChange =
  | { readonly kind: 'add-learner'; readonly member: RaftMember }
  | { readonly kind: 'promote'; readonly raftId: number }
  | { readonly kind: 'remove'; readonly raftId: number }
  | { readonly kind: 'set-address'; readonly raftId: number; readonly address: string };

export interface Raft extends AsyncDisposable {
  /** As last heard from the worker thread: at most one event-loop turn old. */
  status(): RaftStatus;
  /**
   * Asks the worker for everything it knows: what `swarmctl swarm raft status` and metrics show.
   * @throws SwarmError `deadline-exceeded` when the worker is stuck.
   */
  report(signal: AbortSignal): Promise<RaftReport>;
  /** Called after every change of role, term, leader or members. */
  onStatus(listener: (status: RaftStatus) => void): Disposable;
  /** Rejects when the member has stopped itself (disk failure, damage, removal), with the reason. */
  readonly failed: Promise<never>;
  /**
   * Replicates `data`. Resolves with its index once it is committed and applied by the local state
   * machine.
   * @throws SwarmError `unavailable` (not leader: nothing happened), `resource-exhausted` (too much
   * in flight: nothing happened), `unknown-outcome` (leadership lost meanwhile).
   */
  propose(data: Uint8Array, signal: AbortSignal): Promise<number>;
  /**
   * Resolves once the local state machine has everything that was committed when it was called.
   * Works on every member. A new leader should await it before it acts on the state.
   * @throws SwarmError `deadline-exceeded` without quorum.
   */
  readBarrier(signal: AbortSignal): Promise<void>;
  /**
   * Leader only. Resolves once the change is applied.
   * @throws SwarmError as `propose`; `not-found`, `already-exists`, `failed-precondition` when the
   * change makes no sense or would endanger the cluster now.
   */
  changeMembership(change: MembershipChange, signal: AbortSignal): Promise<void>;
  /** Leader only; to the most advanced voter unless `to` is given. */
  transferLeadership(to: number | undefined, signal: AbortSignal): Promise<void>;
  /** New certificates for new connections, without a restart. */
  setTls(tls: RaftTls): void;
  /**
   * Certificates of these nodes are refused from now on, whatever Raft id they come with; what they have
   * open ends. Replaces the list given before. For nodes that never come back under their id.
   */
  refuseNodes(nodeIds: readonly string[]): void;
}
