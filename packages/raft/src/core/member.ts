/**
 * The state of one member that all roles share, and the few moves that keep it consistent. What a
 * role does with messages is in leader.ts, candidate.ts and follower.ts; nothing here decides.
 */
import { assert } from '@swarmd/base';
import type { Group } from './conf-change.ts';
import type { InflightLimits } from './inflights.ts';
import { Outbox } from './outbox.ts';
import { Progress } from './progress.ts';
import { RaftLog } from './raft-log.ts';
import { ReadIndexQueue } from './read-index.ts';
import { Tracker } from './tracker.ts';
import {
  NO_ID,
  type EntryId,
  type Message,
  type RaftConfig,
  type RaftCoreOptions,
  type RaftId,
  type Role,
} from './types.ts';

export const NO_ENTRY: EntryId = { term: 0, index: 0 };

const PROMISES: ReadonlySet<Message['kind']> = new Set([
  'appendReply',
  'voteReply',
  'preVoteReply',
]);

export class Member {
  readonly config: RaftConfig;
  readonly log: RaftLog;
  readonly tracker: Tracker;
  readonly outbox = new Outbox();
  readonly inflightLimits: InflightLimits;

  term = 0;
  vote: RaftId = NO_ID;
  role: Role = 'follower';
  leader: RaftId = NO_ID;

  /** Leader: whom leadership is being handed to. */
  transferTarget: RaftId = NO_ID;
  /** Leader: no change may be proposed before everything up to this index is applied. */
  pendingConfIndex = 0;
  /** Leader: content of its entries that are not applied yet. */
  uncommittedBytes = 0;
  reads = new ReadIndexQueue();
  /** Leader: reads have arrived since the last round of heartbeats. */
  readsToConfirm = false;

  /** The membership is the one after this entry. */
  confIndex: number;

  /** Follower: ticks since the leader was heard. Leader: since the last quorum check. */
  electionElapsed = 0;
  heartbeatElapsed = 0;
  /** Redrawn with every change of role, so that split votes resolve. */
  electionTimeout = 0;

  readonly #random: { next(): number };

  constructor(options: RaftCoreOptions, group: Group) {
    const { config } = options;
    this.config = config;
    this.confIndex = config.applied;
    this.#random = options.random;
    this.inflightLimits = { messages: config.maxInflightMessages, bytes: config.maxInflightBytes };
    this.tracker = new Tracker(group);
    this.log = new RaftLog({
      view: options.log,
      maxApplyingBytes: config.maxCommittedBytes,
      applyUnstable: config.applyUnstable,
    });
  }

  get id(): RaftId {
    return this.config.id;
  }

  get isLearner(): boolean {
    return this.tracker.progress(this.id)?.learner ?? false;
  }

  /** Could it lead? Not a learner or stranger, and not while a snapshot is being installed. */
  promotable(): boolean {
    const progress = this.tracker.progress(this.id);
    return progress !== undefined && !progress.learner && this.log.unstable.snapshot === undefined;
  }

  /** The head of a message to `to`. */
  address(to: RaftId): { from: RaftId; to: RaftId; term: number } {
    return { from: this.id, to, term: this.term };
  }

  /** Votes and acknowledgements promise something that must be on disk first; the rest may run. */
  send(message: Message): void {
    if (PROMISES.has(message.kind)) {
      this.outbox.content.afterPersist.push(message);
      return;
    }
    assert(message.to !== this.id, `${message.kind} is not sent to oneself`);
    this.outbox.content.messages.push(message);
  }

  /** Starts a role in `term`: nothing of the last role's bookkeeping survives. */
  reset(term: number): void {
    if (this.term !== term) {
      assert(Number.isSafeInteger(term) && term > this.term, `term ${this.term} only grows`);
      this.term = term;
      this.vote = NO_ID;
    }
    this.leader = NO_ID;
    this.electionElapsed = 0;
    this.heartbeatElapsed = 0;
    this.drawElectionTimeout();
    this.transferTarget = NO_ID;
    this.tracker.resetVotes();
    this.#resetProgress();
    this.pendingConfIndex = 0;
    this.uncommittedBytes = 0;
    this.#abandonReads();
  }

  drawElectionTimeout(): void {
    const base = this.config.electionTicks;
    this.electionTimeout = base + Math.floor(this.#random.next() * base);
  }

  #resetProgress(): void {
    const last = this.log.last();
    const fresh = new Map<RaftId, Progress>();
    for (const [id, { learner }] of this.tracker.members()) {
      const progress = new Progress({
        next: last + 1,
        learner,
        recentActive: false,
        limits: this.inflightLimits,
      });
      if (id === this.id) progress.match = last;
      fresh.set(id, progress);
    }
    this.tracker.adopt({ membership: this.tracker.membership, progress: fresh });
  }

  /** Own readers are told; others find out through the change of leader. */
  #abandonReads(): void {
    for (const read of this.reads.drain()) {
      if (read.from === this.id) {
        this.outbox.content.dropped.push({ id: read.id, why: 'leaderChanged' });
      }
    }
    this.reads = new ReadIndexQueue();
    this.readsToConfirm = false;
  }
}
