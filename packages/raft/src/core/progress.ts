/**
 * What the leader knows about one peer's log, and how eagerly it sends to it.
 *
 * probe: one message per heartbeat, until the point where the logs meet is known. replicate:
 * optimistic, `next` runs ahead within the window. snapshot: silent until the snapshot's outcome is
 * known. Invariant: match < next.
 */
import { assert } from '@swarmd/base';
import { Inflights, type InflightLimits } from './inflights.ts';
import type { ProbeReason, ProgressStatus, RaftId } from './types.ts';

export class Progress {
  match = 0;
  next: number;
  state: 'probe' | 'replicate' | 'snapshot' = 'probe';
  learner: boolean;
  /** Heard from since the last quorum check. */
  recentActive: boolean;
  /** One message is out and the next waits for an answer or a heartbeat's. */
  paused = false;
  /** 0 outside the snapshot state. */
  pendingSnapshot = 0;
  /** Ticks spent in the snapshot state. */
  snapshotTicks = 0;
  readonly inflights: Inflights;
  #probing: ProbeReason = 'started';
  /** Highest commit index sent: the peer learns of it unless messages are lost. */
  #sentCommit = 0;

  constructor(options: {
    next: number;
    learner: boolean;
    recentActive: boolean;
    limits: InflightLimits;
  }) {
    this.next = options.next;
    this.learner = options.learner;
    this.recentActive = options.recentActive;
    this.inflights = new Inflights(options.limits);
  }

  becomeProbe(why: ProbeReason): void {
    this.#probing = why;
    // A snapshot that got through is the new meeting point, even before the peer says so itself.
    const floor = this.state === 'snapshot' ? this.pendingSnapshot : 0;
    this.#enter('probe');
    this.next = Math.max(this.match, floor) + 1;
    this.#sentCommit = Math.min(this.#sentCommit, this.next - 1);
  }

  becomeReplicate(): void {
    this.#enter('replicate');
    this.next = this.match + 1;
  }

  becomeSnapshot(index: number): void {
    this.#enter('snapshot');
    this.pendingSnapshot = index;
    this.next = index + 1;
    this.#sentCommit = index;
  }

  /** An append with `count` entries from `next` on has been sent. */
  sentEntries(count: number, bytes: number): void {
    assert(this.state !== 'snapshot', 'no entries are sent to a peer that waits for a snapshot');
    if (this.state === 'probe') {
      if (count > 0) this.paused = true;
      return;
    }
    if (count > 0) {
      this.next += count;
      this.inflights.add(this.next - 1, bytes);
    }
    this.paused = this.inflights.full();
  }

  sentCommit(commit: number): void {
    this.#sentCommit = commit;
  }

  /** Would an empty append with this commit index tell the peer anything? */
  commitIsNews(commit: number): boolean {
    return commit > this.#sentCommit && this.#sentCommit < this.next - 1;
  }

  /** The peer holds everything up to `index`. False for old news; `match` never moves back. */
  acknowledge(index: number): boolean {
    if (index <= this.match) return false;
    this.match = index;
    this.next = Math.max(this.next, index + 1);
    this.paused = false;
    return true;
  }

  /**
   * The peer refused the append after `rejected` and suggests `hint` as meeting point. False when
   * the refusal is overtaken: answers may arrive late, twice and out of order.
   */
  reject(rejected: number, hint: number): boolean {
    if (this.state === 'replicate') {
      if (rejected <= this.match) return false;
      this.next = this.match + 1;
    } else {
      if (this.next - 1 !== rejected) return false;
      this.next = Math.max(Math.min(rejected, hint + 1), this.match + 1);
      this.paused = false;
      this.#probing = 'rejected';
    }
    this.#sentCommit = Math.min(this.#sentCommit, this.next - 1);
    return true;
  }

  isPaused(): boolean {
    return this.state === 'snapshot' || this.paused;
  }

  status(id: RaftId): ProgressStatus {
    return {
      id,
      state: this.state,
      match: this.match,
      next: this.next,
      learner: this.learner,
      recentActive: this.recentActive,
      paused: this.isPaused(),
      pendingSnapshot: this.pendingSnapshot,
      inflightMessages: this.inflights.count,
      inflightBytes: this.inflights.bytes,
      inflightFull: this.inflights.fullOf(),
      probing: this.state === 'probe' ? this.#probing : undefined,
    };
  }

  #enter(state: Progress['state']): void {
    this.state = state;
    this.paused = false;
    this.pendingSnapshot = 0;
    this.snapshotTicks = 0;
    this.inflights.clear();
  }
}
