/**
 * What goes into the core and what comes out of it. The core decides; the driver does: it writes,
 * sends and applies what a `Ready` says, and tells the core when it has done so.
 *
 * Indexes and terms are safe integers; index 0 and term 0 mean "before the log". Raft ids are safe
 * integers above 0; 0 means "none".
 */

export type RaftId = number;

export const NO_ID: RaftId = 0;

/** Names an entry for ever: two logs that hold the same id are equal up to it. */
export interface EntryId {
  readonly term: number;
  readonly index: number;
}

/** `confChangeV1` exists for etcd's scripts only; it has no transition and one change. */
export type EntryKind = 'normal' | 'confChange' | 'confChangeV1';

export interface Entry extends EntryId {
  readonly kind: EntryKind;
  /** Opaque for `normal`; an encoded `ConfChange` (see conf-change-codec.ts) otherwise. */
  readonly data: Uint8Array;
}

/** What must survive a crash beside the log. `commit` may be lost (it is learned again). */
export interface HardState {
  readonly term: number;
  readonly vote: RaftId;
  readonly commit: number;
}

/** A membership. `votersOutgoing` is non-empty exactly while it is joint. Lists are ascending. */
export interface ConfState {
  readonly voters: readonly RaftId[];
  readonly votersOutgoing: readonly RaftId[];
  readonly learners: readonly RaftId[];
  /** Voters of the outgoing half that become learners when the joint state is left. */
  readonly learnersNext: readonly RaftId[];
  readonly autoLeave: boolean;
}

export interface ConfChangeStep {
  readonly kind: 'addVoter' | 'addLearner' | 'remove' | 'update';
  /** 0 skips the step: a change that was refused above Raft. */
  readonly id: RaftId;
}

/**
 * `auto`: directly if it is one step, else joint with automatic leave. `implicit`: joint, left
 * automatically. `explicit`: joint until an empty `auto` change (no steps) is proposed.
 */
export interface ConfChange {
  readonly transition: 'auto' | 'implicit' | 'explicit';
  readonly steps: readonly ConfChangeStep[];
  /** Opaque to Raft: addresses, node ids. */
  readonly context: Uint8Array;
}

/** The state as of `index`; the bytes themselves are the driver's business. */
export interface SnapshotMeta extends EntryId {
  readonly confState: ConfState;
}

/**
 * The durable part of the log as the core reads it: what the driver has written, not what it is
 * asked to write. Lookups are synchronous. `MemoryLog` implements it.
 */
export interface LogView {
  /** Index of the oldest entry that is still here; `last() + 1` when there is none. */
  first(): number;
  /** Index of the newest entry, or of the snapshot when nothing follows it, or 0. */
  last(): number;
  /** Known for `first() - 1 <= index <= last()`, else undefined. */
  term(index: number): number | undefined;
  /** Entries of [low, high), cut after `maxBytes` but at least one. Both ends are in range. */
  entries(low: number, high: number, maxBytes: number): readonly Entry[];
  /** The newest snapshot that can be sent now; undefined while none is ready. */
  snapshot(): SnapshotMeta | undefined;
}

interface Addressed {
  readonly from: RaftId;
  readonly to: RaftId;
  readonly term: number;
}

export interface AppendMessage extends Addressed {
  readonly kind: 'append';
  /** The entry just before `entries`: the receiver must have it. */
  readonly previous: EntryId;
  readonly entries: readonly Entry[];
  readonly commit: number;
}

export interface AppendReply extends Addressed {
  readonly kind: 'appendReply';
  /** Accepted: the last index that matches the sender's. Rejected: the refused `previous.index`. */
  readonly index: number;
  readonly reject: boolean;
  /** Rejected only: where the leader should look next (see raft-log.ts `findConflictByTerm`). */
  readonly hint: EntryId;
}

/** Pre-votes ask for `term` without the asker being at it. */
export interface VoteMessage extends Addressed {
  readonly kind: 'vote' | 'preVote';
  readonly last: EntryId;
  /** The leader itself asked for this election: answer even while it is alive. */
  readonly transfer: boolean;
  /** The sender's commit point, `{0, 0}` when `commitInVotes` is off. */
  readonly commit: EntryId;
}

export interface VoteReply extends Addressed {
  readonly kind: 'voteReply' | 'preVoteReply';
  readonly reject: boolean;
  /** As in `VoteMessage`; sent with rejections. */
  readonly commit: EntryId;
}

export interface HeartbeatMessage extends Addressed {
  readonly kind: 'heartbeat';
  readonly commit: number;
  /** All reads up to this one are confirmed by the answer; 0 when none waits. */
  readonly readSeq: number;
}

export interface HeartbeatReply extends Addressed {
  readonly kind: 'heartbeatReply';
  readonly readSeq: number;
}

/** The bytes travel beside it: step it only once they have arrived and were checked. */
export interface SnapshotMessage extends Addressed {
  readonly kind: 'snapshot';
  readonly snapshot: SnapshotMeta;
}

export interface TimeoutNowMessage extends Addressed {
  readonly kind: 'timeoutNow';
}

/** A transfer asked on a follower, for its leader. */
export interface TransferMessage extends Addressed {
  readonly kind: 'transfer';
  readonly target: RaftId;
}

/** Only with `forwardProposals`. */
export interface ProposeMessage extends Addressed {
  readonly kind: 'propose';
  readonly entries: readonly Proposal[];
}

export interface ReadIndexMessage extends Addressed {
  readonly kind: 'readIndex';
  /** Chosen by the asker, unique for it. */
  readonly id: number;
}

export interface ReadIndexReply extends Addressed {
  readonly kind: 'readIndexReply';
  readonly id: number;
  readonly index: number;
}

/** What travels between members. */
export type Message =
  | AppendMessage
  | AppendReply
  | VoteMessage
  | VoteReply
  | HeartbeatMessage
  | HeartbeatReply
  | SnapshotMessage
  | TimeoutNowMessage
  | TransferMessage
  | ProposeMessage
  | ReadIndexMessage
  | ReadIndexReply;

export interface Proposal {
  readonly kind: EntryKind;
  readonly data: Uint8Array;
}

/** The log is durable up to `last`, and `snapshot` is installed. Ignored when `term` has passed. */
export interface StoredNotice {
  readonly kind: 'stored';
  readonly to: RaftId;
  readonly term: number;
  /** `{0, 0}`: no entries were waiting. */
  readonly last: EntryId;
  readonly snapshot?: SnapshotMeta;
}

export type Input =
  | { readonly kind: 'tick' }
  | { readonly kind: 'message'; readonly message: Message }
  /** `id` comes back in `Ready.proposed` or `Ready.dropped`. */
  | { readonly kind: 'propose'; readonly id: number; readonly data: Uint8Array }
  | {
      readonly kind: 'proposeConfChange';
      readonly id: number;
      readonly change: ConfChange;
      readonly v1?: boolean;
    }
  /** `id` comes back in `Ready.reads`, `Ready.dropped`, or never (ask again with a new id). */
  | { readonly kind: 'readIndex'; readonly id: number }
  | { readonly kind: 'transfer'; readonly to: RaftId }
  | { readonly kind: 'campaign' }
  | { readonly kind: 'forgetLeader' }
  /** Messages to `peer` were lost: probe it instead of streaming to it. */
  | { readonly kind: 'unreachable'; readonly peer: RaftId }
  /** The snapshot sent to `peer` arrived or failed. Must come for every snapshot message. */
  | { readonly kind: 'snapshotStatus'; readonly peer: RaftId; readonly ok: boolean }
  /**
   * Everything in the Readys up to `seq` is durable and visible in the LogView. One per Ready, in
   * order of seq.
   */
  | { readonly kind: 'persisted'; readonly seq: number }
  /** `Ready.committed` was applied up to `index`. */
  | { readonly kind: 'applied'; readonly index: number }
  /**
   * The committed confChange entry at `index` takes effect. Once for every such entry, in order,
   * before the `applied` that covers it; afterwards `confState()` is the membership at that entry.
   * Ignored if a snapshot has brought a newer membership meanwhile.
   */
  | { readonly kind: 'applyConfChange'; readonly index: number; readonly change: ConfChange }
  /** Only with `manualLoopback`: what `Ready.afterPersist` addressed to this member. */
  | { readonly kind: 'stored'; readonly notice: StoredNotice };

/**
 * noLeader: not the leader and none to forward to. transferring: leadership is being handed over.
 * tooMuchUncommitted: back off. notMember: this leader is being removed. confChangeRefused: invalid now
 * (an empty entry took its place).
 */
export type DropReason =
  | 'noLeader'
  | 'transferring'
  | 'tooMuchUncommitted'
  | 'notMember'
  | 'confChangeRefused'
  | 'leaderChanged';

/** What became of one input. `unknownPeer`: an answer from somebody who is not a member. */
export type StepOutcome = 'accepted' | 'unknownPeer' | DropReason;

export type Role = 'follower' | 'pre-candidate' | 'candidate' | 'leader';

/**
 * Work for the driver. Once returned it is taken: the next Ready holds only what came after.
 *
 * Order of work: write `snapshot`, `append` and `hard` in one synced batch (`mustSync` false: no
 * sync needed) while `messages` may already leave; make the write visible in the LogView; send
 * `messagesAfterPersist`; step `persisted`. Apply `committed` meanwhile; it is durable already.
 */
export interface Ready {
  /** 1, 2, 3, ... */
  readonly seq: number;
  readonly soft?: { readonly leader: RaftId; readonly role: Role };
  readonly hard?: HardState;
  /** Contiguous; drop everything stored from `append[0].index` on before writing it. */
  readonly append: readonly Entry[];
  /** Replaces the log and the state, before `append` is written. */
  readonly snapshot?: SnapshotMeta;
  readonly mustSync: boolean;
  readonly messages: readonly Message[];
  readonly messagesAfterPersist: readonly Message[];
  /** To be applied in order. Bounded by `maxCommittedBytes`. */
  readonly committed: readonly Entry[];
  /** Serve read `id` once everything up to `index` is applied. */
  readonly reads: readonly { readonly id: number; readonly index: number }[];
  /** Proposals that entered the log: committed iff the entry at `index` is of `term`. */
  readonly proposed: readonly {
    readonly id: number;
    readonly index: number;
    readonly term: number;
  }[];
  /** Proposals and reads that had no effect. */
  readonly dropped: readonly { readonly id: number; readonly why: DropReason }[];
  /**
   * A peer needs a snapshot that `LogView.snapshot()` does not offer: none is there, or it is from
   * before the peer became a member (who is not in a snapshot refuses it). Take one of at least
   * this index; it is sent as soon as the LogView shows it and the peer is heard from.
   */
  readonly snapshotFrom?: number;
  /** Only with `manualLoopback`: everything due after the write, own messages included, in order. */
  readonly afterPersist?: readonly (Message | StoredNotice)[];
}

export interface RaftConfig {
  readonly id: RaftId;
  /** Drawn timeouts are in [electionTicks, 2 * electionTicks - 1]. */
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  /** Last index that the state machine already has. */
  readonly applied: number;
  /** Bytes of entries in one append message; one entry may exceed it. */
  readonly maxMessageBytes: number;
  /** Bytes of entries being applied at a time. */
  readonly maxCommittedBytes: number;
  /** Bytes of proposals in the leader's uncommitted tail; one proposal may exceed it. */
  readonly maxUncommittedBytes: number;
  readonly maxInflightMessages: number;
  readonly maxInflightBytes: number;
  /** A snapshot counts as failed when nothing is heard of it for so long; Infinity: never. */
  readonly snapshotTicks: number;
  readonly checkQuorum: boolean;
  readonly preVote: boolean;
  /** `lease` trusts clocks: never in production. */
  readonly readMode: 'safe' | 'lease';
  readonly forwardProposals: boolean;
  readonly validateConfChanges: boolean;
  readonly stepDownOnRemoval: boolean;
  /** Voters tell each other how far they know the log to be committed (etcd #12359). */
  readonly commitInVotes: boolean;
  /** While a change of term or vote is not durable, all messages wait for it. */
  readonly holdUntilTermIsDurable: boolean;
  /** Hand out committed entries that are not yet durable here. For etcd's scripts only. */
  readonly applyUnstable: boolean;
  /** The caller returns own messages itself (`Ready.afterPersist`). For etcd's scripts only. */
  readonly manualLoopback: boolean;
}

export interface RaftCoreOptions {
  readonly config: RaftConfig;
  readonly random: { next(): number };
  readonly log: LogView;
  readonly hard: HardState;
  /**
   * The membership as of `config.applied`. Founders start from a snapshot of index 1 or above that
   * names them all, so that later members get this first membership too; a newcomer starts with an
   * empty log and an empty membership.
   */
  readonly conf: ConfState;
}

/**
 * started: nothing was heard in this term yet. rejected: the peer refused an append. unreachable:
 * messages to it were lost. snapshot: one arrived or failed, the peer has not spoken since.
 */
export type ProbeReason = 'started' | 'rejected' | 'unreachable' | 'snapshot';

export interface ProgressStatus {
  readonly id: RaftId;
  readonly state: 'probe' | 'replicate' | 'snapshot';
  readonly match: number;
  readonly next: number;
  readonly learner: boolean;
  readonly recentActive: boolean;
  readonly paused: boolean;
  /** 0 when none is on its way. */
  readonly pendingSnapshot: number;
  readonly inflightMessages: number;
  readonly inflightBytes: number;
  /** The limit that the window has reached. */
  readonly inflightFull: 'messages' | 'bytes' | undefined;
  /** In the probe state: why the leader does not know where the logs meet. */
  readonly probing: ProbeReason | undefined;
}

export interface Status {
  readonly id: RaftId;
  readonly role: Role;
  readonly learner: boolean;
  readonly term: number;
  readonly vote: RaftId;
  readonly leader: RaftId;
  readonly commit: number;
  readonly applied: number;
  readonly first: number;
  readonly last: number;
  readonly conf: ConfState;
  /** 0 when no transfer is under way. */
  readonly transferTarget: RaftId;
  /** Ascending by id; only on the leader. */
  readonly progress: readonly ProgressStatus[];
}

/** The shape of `RaftCore` (raft-core.ts). */
export interface RaftStateMachine {
  step(input: Input): StepOutcome;
  /** What is to be done now, or null. May be called again before the previous one is persisted. */
  ready(): Ready | null;
  status(): Status;
  confState(): ConfState;
}
