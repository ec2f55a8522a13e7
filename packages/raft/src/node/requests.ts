/** What the main thread asks of this member: proposals, reads, membership changes, transfers. */
import type { Clock, Random } from '@swarmd/base';

import type { Entry, Input, Ready, Role, Status } from '../core/types.ts';
import { checkChange, confChangeOf, type MemberBook } from './membership.ts';
import { notLeader, PendingProposals, PendingTransfers, wireError } from './pending.ts';
import { Reads } from './reads.ts';
import { bestSuccessor } from './status.ts';
import type { MembershipChange } from './types.ts';
import type { ApplyBatch, FromWorker, ToWorker, WireError } from './worker-protocol.ts';

export type Request = Extract<
  ToWorker,
  { kind: 'propose' | 'read' | 'forgetRead' | 'change' | 'transfer' }
>;

export interface RequestsPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly readRetryMs: number;
  step(input: Input): void;
  status(): Status;
  book(): MemberBook;
  /** A caller that is told of a change must find it in the status. */
  postStatus(): void;
  post(message: FromWorker): void;
}

export class Requests {
  readonly #ports: RequestsPorts;
  readonly #proposals: PendingProposals;
  readonly #transfers: PendingTransfers;
  readonly #reads: Reads;
  /** 0 while none is known. */
  #leader = 0;

  constructor(ports: RequestsPorts) {
    this.#ports = ports;
    const { clock, random } = ports;
    const pending = {
      clock,
      refuse: (id: number, error: WireError) => this.#refuse(fromCoreId(id), error),
      done: (id: number) => this.#done(id),
    };
    this.#proposals = new PendingProposals(pending);
    this.#transfers = new PendingTransfers(pending);
    this.#reads = new Reads(Math.floor(random.next() * 2 ** 48), {
      clock,
      retryMs: ports.readRetryMs,
      ask: (attempt) => ports.step({ kind: 'readIndex', id: readId(attempt) }),
      answer: (id, index) => {
        if (isChangeRead(id)) this.#done(changeOf(id));
        else ports.post({ kind: 'readIndex', id, index });
      },
    });
  }

  receive(request: Request): void {
    const { id } = request;
    switch (request.kind) {
      case 'propose':
        this.#ports.step({ kind: 'propose', id: coreId(id), data: new Uint8Array(request.data) });
        break;
      case 'read':
        this.#reads.add(id);
        break;
      case 'forgetRead':
        this.#reads.forget(id);
        break;
      case 'change':
        this.#change(id, request.change);
        break;
      case 'transfer':
        this.#transfer(id, request.to);
        break;
    }
  }

  /** Before the Ready's committed entries are handed on. */
  onReady(ready: Ready, leader: number): void {
    for (const proposal of ready.proposed) this.#proposals.entered(proposal);
    for (const { id, why } of ready.dropped) {
      // Reads are asked again with the next leader, or after a while.
      if (!isReadId(id)) this.#proposals.dropped(id, why, leader);
    }
    for (const { id, index } of ready.reads) this.#reads.confirmed(attemptOf(id), index);
  }

  /** After them: what a former leader still waits for has an unknown outcome. */
  onRole(self: number, now: { role: Role; leader: number }): void {
    this.#transfers.leaderIs(now.leader, self);
    if (now.role !== 'leader') this.#proposals.leadershipLost();
    if (now.leader !== this.#leader && now.leader !== 0) this.#reads.askAnew();
    this.#leader = now.leader;
  }

  takeDone(entries: readonly Entry[]): ApplyBatch['done'] {
    const done = this.#proposals.takeDone(entries);
    return done.map(({ id, index }) => ({ id: fromCoreId(id), index }));
  }

  /**
   * The membership change at `index` is in effect here. Its caller is told after one more round
   * with a quorum of the new members: its heartbeats carry the commit index, so they know that the
   * change is in effect as well. Otherwise a leader lost right now might leave voters behind of
   * which none knows that it may be elected (etcd #12359).
   */
  changeApplied(index: number, here: { isMember: boolean }): void {
    const id = this.#proposals.takeChange(index);
    if (id === undefined) return;
    if (here.isMember) this.#reads.add(changeRead(id));
    else this.#done(id);
  }

  tick(): void {
    this.#reads.retry();
    this.#transfers.expire();
    this.#transferAgain();
  }

  /**
   * The core gives a transfer up after an election timeout, for instance because the target had not
   * applied its own promotion yet. The caller's deadline is longer than that.
   */
  #transferAgain(): void {
    const to = this.#transfers.target;
    if (to === undefined) return;
    const { role, transferTarget } = this.#ports.status();
    if (role === 'leader' && transferTarget === 0) this.#ports.step({ kind: 'transfer', to });
  }

  #change(id: number, change: MembershipChange): void {
    const status = this.#ports.status();
    const book = this.#ports.book();
    if (status.role !== 'leader') {
      this.#refuse(id, notLeader(status.leader));
      return;
    }
    const refusal = checkChange(change, book, status);
    if (refusal !== undefined) {
      this.#refuse(id, wireError(refusal));
      return;
    }
    this.#proposals.expectChange(coreId(id));
    const confChange = confChangeOf(change, book);
    this.#ports.step({ kind: 'proposeConfChange', id: coreId(id), change: confChange });
  }

  #transfer(id: number, wanted: number | undefined): void {
    const status = this.#ports.status();
    if (status.role !== 'leader') {
      this.#refuse(id, notLeader(status.leader));
      return;
    }
    const to = wanted ?? bestSuccessor(status);
    if (to === undefined) {
      const message = 'no other voter answers that leadership could be handed to';
      this.#refuse(id, { code: 'failed-precondition', message });
      return;
    }
    if (to === status.id || !status.conf.voters.includes(to)) {
      const message = `Raft member ${to} cannot take over: it is no other voter`;
      this.#refuse(id, { code: 'failed-precondition', message });
      return;
    }
    this.#transfers.add(coreId(id), to);
    this.#ports.step({ kind: 'transfer', to });
  }

  #done(id: number): void {
    this.#ports.postStatus();
    this.#ports.post({ kind: 'done', id: fromCoreId(id) });
  }

  #refuse(id: number, error: WireError): void {
    this.#ports.post({ kind: 'refused', id, error });
  }
}

// The core has one space of ids for proposals and reads: even ones are proposals.
const coreId = (id: number): number => id * 2;
const fromCoreId = (id: number): number => id / 2;
const readId = (attempt: number): number => attempt * 2 + 1;
const isReadId = (id: number): boolean => id % 2 === 1;
// Rounds that follow a membership change are reads with ids below 0.
const changeRead = (id: number): number => -1 - id;
const isChangeRead = (id: number): boolean => id < 0;
const changeOf = (id: number): number => -1 - id;
const attemptOf = (id: number): number => (id - 1) / 2;
