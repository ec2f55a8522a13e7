/** The driver as its user sees it: a replicated log of opaque entries, and a state machine fed by it. */
import type { Clock, Logger } from '@swarmd/base';

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
  /** Replaces the whole state by a snapshot taken at `index`. */
  restore(chunks: Iterable<Uint8Array>, index: number): void;
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
  /** Entries between two snapshots; 10,000 unless said otherwise. */
  readonly snapshotEvery?: number;
}

export interface RaftDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
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

export type MembershipChange =
  | { readonly kind: 'add-learner'; readonly member: RaftMember }
  | { readonly kind: 'promote'; readonly raftId: number }
  | { readonly kind: 'remove'; readonly raftId: number }
  | { readonly kind: 'set-address'; readonly raftId: number; readonly address: string };

export interface Raft extends AsyncDisposable {
  /** As last heard from the worker thread: at most one event-loop turn old. */
  status(): RaftStatus;
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
}
