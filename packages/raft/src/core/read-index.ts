/**
 * Reads that wait until the leader knows that it was still the leader when they arrived (thesis,
 * section 6.4).
 *
 * Reads are numbered by a counter of the leader's own; a heartbeat carries the number of the newest
 * read, and its answer confirms all reads up to it. The asker's id never travels in heartbeats:
 * with a reused id a late answer could confirm a newer read (etcd #20418).
 */
import { jointIndex, type Voters } from './quorum.ts';
import type { RaftId } from './types.ts';

export interface ReadRequest {
  /** The asker; it chose `id`. */
  readonly from: RaftId;
  readonly id: number;
}

export interface ConfirmedRead {
  readonly request: ReadRequest;
  /** The commit index when the read arrived. */
  readonly index: number;
}

export class ReadIndexQueue {
  #unconfirmed: ConfirmedRead[] = [];
  #confirmedCount = 0;
  readonly #acknowledged = new Map<RaftId, number>();
  /** Arrived before anything was committed in this leader's term. */
  #early: ReadRequest[] = [];

  /** The number that a heartbeat has to carry to confirm everything that waits; 0 for nothing. */
  heartbeatSeq(): number {
    return this.#unconfirmed.length === 0 ? 0 : this.#confirmedCount + this.#unconfirmed.length;
  }

  add(request: ReadRequest, index: number): void {
    this.#unconfirmed.push({ request, index });
  }

  addEarly(request: ReadRequest): void {
    this.#early.push(request);
  }

  takeEarly(): ReadRequest[] {
    const early = this.#early;
    this.#early = [];
    return early;
  }

  acknowledge(from: RaftId, seq: number): void {
    if (seq > (this.#acknowledged.get(from) ?? 0)) this.#acknowledged.set(from, seq);
  }

  /** The reads that a quorum has confirmed since the last call, in order of arrival. */
  takeConfirmed(voters: Voters): ConfirmedRead[] {
    const reached = jointIndex(voters, (id) => this.#acknowledged.get(id));
    const count = Math.min(reached - this.#confirmedCount, this.#unconfirmed.length);
    if (count <= 0) return [];
    this.#confirmedCount += count;
    return this.#unconfirmed.splice(0, count);
  }

  /** Everything that still waits; the queue is empty afterwards. */
  drain(): ReadRequest[] {
    const waiting = [...this.takeEarly(), ...this.#unconfirmed.map((read) => read.request)];
    this.#unconfirmed = [];
    return waiting;
  }
}
