/** What callers wait for: proposals, membership changes and transfers without an outcome yet. */
import { unreachable, type Clock, type SwarmError } from '@swarmd/base';

import type { DropReason, Entry } from '../core/types.ts';
import { CHANGE_DEADLINE_MS } from './limits.ts';
import type { ApplyBatch, WireError } from './worker-protocol.ts';

interface InLog {
  readonly id: number;
  readonly term: number;
}

export interface PendingPorts {
  readonly clock: Clock;
  refuse(id: number, error: WireError): void;
  done(id: number): void;
}

/** Proposals and changes: in the log at an index, committed iff the entry there has their term. */
export class PendingProposals {
  readonly #ports: PendingPorts;
  readonly #inLog = new Map<number, InLog>();
  /** Membership changes among them; they are done when they take effect. */
  readonly #changes = new Set<number>();
  /** Committed changes by index, on their way through the state machine. */
  readonly #committed = new Map<number, number>();

  constructor(ports: PendingPorts) {
    this.#ports = ports;
  }

  expectChange(id: number): void {
    this.#changes.add(id);
  }

  entered(proposal: { id: number; index: number; term: number }): void {
    this.#inLog.set(proposal.index, { id: proposal.id, term: proposal.term });
  }

  dropped(id: number, why: DropReason, leader: number): void {
    this.#changes.delete(id);
    this.#ports.refuse(id, dropError(why, leader));
  }

  /** Own proposals among committed `entries`, done once these are applied. */
  takeDone(entries: readonly Entry[]): ApplyBatch['done'] {
    const done: { id: number; index: number }[] = [];
    if (this.#inLog.size === 0) return done;
    for (const { index, term } of entries) {
      const pending = this.#inLog.get(index);
      if (pending === undefined) continue;
      this.#inLog.delete(index);
      const isChange = this.#changes.delete(pending.id);
      if (pending.term !== term) this.#ports.refuse(pending.id, unknownOutcome());
      else if (isChange) this.#committed.set(index, pending.id);
      else done.push({ id: pending.id, index });
    }
    return done;
  }

  /** The membership change at `index` is in effect: whose it was, if it was asked for here. */
  takeChange(index: number): number | undefined {
    const id = this.#committed.get(index);
    this.#committed.delete(index);
    return id;
  }

  /** This member does not lead in their term any more. */
  leadershipLost(): void {
    for (const { id } of this.#inLog.values()) this.#ports.refuse(id, unknownOutcome());
    this.#inLog.clear();
    this.#changes.clear();
  }
}

/** Transfers: done once somebody else leads, failed once their time is up. */
export class PendingTransfers {
  readonly #ports: PendingPorts;
  readonly #waiting = new Map<number, { readonly to: number; readonly since: number }>();

  constructor(ports: PendingPorts) {
    this.#ports = ports;
  }

  add(id: number, to: number): void {
    this.#waiting.set(id, { to, since: this.#ports.clock.monotonic() });
  }

  /** Whom leadership should go to, while somebody waits for that. */
  get target(): number | undefined {
    return [...this.#waiting.values()].at(-1)?.to;
  }

  leaderIs(leader: number, self: number): void {
    if (leader === 0 || leader === self) return;
    for (const id of this.#waiting.keys()) this.#ports.done(id);
    this.#waiting.clear();
  }

  /** With every tick. */
  expire(): void {
    const now = this.#ports.clock.monotonic();
    for (const [id, { since }] of this.#waiting) {
      if (now - since < CHANGE_DEADLINE_MS) continue;
      this.#waiting.delete(id);
      this.#ports.refuse(id, {
        code: 'deadline-exceeded',
        message: 'leadership was not taken over; the target may be behind or down',
      });
    }
  }
}

export function wireError(error: SwarmError): WireError {
  return { code: error.code, message: error.message };
}

export function notLeader(leader: number): WireError {
  return {
    code: 'unavailable',
    message:
      leader === 0
        ? 'no Raft leader is known at the moment; nothing was changed, try again'
        : `this member is not the Raft leader, member ${leader} is; nothing was changed`,
  };
}

function unknownOutcome(): WireError {
  return {
    code: 'unknown-outcome',
    message: 'leadership was lost while this was being committed: it may or may not take effect',
  };
}

function dropError(why: DropReason, leader: number): WireError {
  switch (why) {
    case 'noLeader':
    case 'leaderChanged':
      return notLeader(leader);
    case 'transferring':
      return {
        code: 'unavailable',
        message: 'leadership is being handed over; nothing was changed, try again',
      };
    case 'tooMuchUncommitted':
      return {
        code: 'resource-exhausted',
        message: 'too many proposals wait to be committed; nothing was changed, try again later',
      };
    case 'notMember':
      return {
        code: 'unavailable',
        message: 'this leader is being removed; nothing was changed, try again with the next one',
      };
    case 'confChangeRefused':
      return {
        code: 'failed-precondition',
        message: 'another membership change is not complete yet; try again in a moment',
      };
    default:
      return unreachable(why);
  }
}
