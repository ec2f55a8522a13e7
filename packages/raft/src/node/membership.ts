/**
 * Membership beside the core's ConfState: which node a raft id is and where it listens. That comes
 * from the context of conf changes, hence is the same on all members. Pure.
 */
import { SwarmError, unreachable } from '@swarmd/base';

import { encodeConfChange } from '../core/conf-change-codec.ts';
import type { ConfChange, ConfState, Entry, ProgressStatus, Status } from '../core/types.ts';
import type { MemberInfo } from '../wal/header.ts';
import { PROMOTION_GAP_ENTRIES } from './limits.ts';
import type { MembershipChange, RaftMember } from './types.ts';

const NOTHING = new Uint8Array();

export interface BookContent {
  readonly members: readonly MemberInfo[];
  readonly removed: readonly number[];
  /** Absent or 0 unless the cluster was founded anew by `forceNewCluster`. */
  readonly incarnation?: number;
}

export const EMPTY_BOOK: BookContent = { members: [], removed: [] };

/** What the context of a conf change says beside its steps. */
interface MemberContext {
  readonly members: readonly MemberInfo[];
  readonly incarnation?: number;
}

export class MemberBook {
  readonly #members = new Map<number, MemberInfo>();
  readonly #removed = new Set<number>();
  #incarnation: number;

  constructor(initial: BookContent) {
    this.#incarnation = initial.incarnation ?? 0;
    for (const member of initial.members) this.#members.set(member.raftId, member);
    for (const raftId of initial.removed) this.#removed.add(raftId);
  }

  apply(change: ConfChange): void {
    const { members, incarnation } = decodeContext(change.context);
    for (const member of members) this.#members.set(member.raftId, member);
    this.#incarnation = incarnation ?? this.#incarnation;
    for (const step of change.steps) {
      if (step.kind !== 'remove') continue;
      this.#members.delete(step.id);
      this.#removed.add(step.id);
    }
  }

  /** Which of the clusters with this cluster's id it is: 0, or what `forceNewCluster` drew. */
  get incarnation(): number {
    return this.#incarnation;
  }

  get(raftId: number): MemberInfo | undefined {
    return this.#members.get(raftId);
  }

  isRemoved(raftId: number): boolean {
    return this.#removed.has(raftId);
  }

  /** Ascending by raft id. */
  members(): MemberInfo[] {
    return [...this.#members.values()].sort((a, b) => a.raftId - b.raftId);
  }

  removed(): number[] {
    return [...this.#removed].sort((a, b) => a - b);
  }

  /** For a snapshot; `new MemberBook` of it is an equal book. */
  content(): BookContent {
    const incarnation = this.#incarnation;
    return {
      members: this.members(),
      removed: this.removed(),
      ...(incarnation !== 0 && { incarnation }),
    };
  }
}

/** The members with what they may do. */
export function withRoles(members: readonly MemberInfo[], conf: ConfState): RaftMember[] {
  const voters = new Set([...conf.voters, ...conf.votersOutgoing]);
  return members.map((member) => ({
    ...member,
    role: voters.has(member.raftId) ? 'voter' : 'learner',
  }));
}

/** The first entry of a new cluster: its founder becomes a voter. */
export function bootstrapEntry(founder: MemberInfo): Entry {
  const change: ConfChange = {
    transition: 'auto',
    steps: [{ kind: 'addVoter', id: founder.raftId }],
    context: memberContext({ members: [founder] }),
  };
  return { index: 1, term: 1, kind: 'confChange', data: encodeConfChange(change) };
}

/** The core's form of a change that `checkChange` has let through. */
export function confChangeOf(change: MembershipChange, book: MemberBook): ConfChange {
  switch (change.kind) {
    case 'add-learner': {
      const { raftId, nodeId, address } = change.member;
      const context = memberContext({ members: [{ raftId, nodeId, address }] });
      return { transition: 'auto', steps: [{ kind: 'addLearner', id: raftId }], context };
    }
    case 'promote':
      return single('addVoter', change.raftId);
    case 'remove':
      return single('remove', change.raftId);
    case 'set-address': {
      const nodeId = book.get(change.raftId)?.nodeId ?? '';
      const moved = { raftId: change.raftId, nodeId, address: change.address };
      const context = memberContext({ members: [moved] });
      return { transition: 'auto', steps: [{ kind: 'update', id: change.raftId }], context };
    }
    default:
      return unreachable(change);
  }
}

/** Why a leader refuses a change now, or undefined when it may be proposed. */
export function checkChange(
  change: MembershipChange,
  book: MemberBook,
  status: Status,
): SwarmError | undefined {
  if (change.kind === 'add-learner') return checkAddition(change.member, book);
  if (book.get(change.raftId) === undefined) {
    return new SwarmError('not-found', `there is no Raft member ${change.raftId}`);
  }
  if (change.kind === 'promote') return checkPromotion(change.raftId, status);
  if (change.kind === 'remove') return checkRemoval(change.raftId, status);
  return undefined;
}

function checkAddition(member: RaftMember, book: MemberBook): SwarmError | undefined {
  const { raftId, nodeId } = member;
  if (book.isRemoved(raftId)) {
    return new SwarmError(
      'failed-precondition',
      `Raft id ${raftId} was removed from this cluster; a member that returns needs a new id`,
    );
  }
  const same = book.members().find((known) => known.raftId === raftId || known.nodeId === nodeId);
  if (same === undefined) return undefined;
  return new SwarmError(
    'already-exists',
    `node ${same.nodeId} is Raft member ${same.raftId} already; remove that one first`,
  );
}

function checkPromotion(raftId: number, status: Status): SwarmError | undefined {
  const progress = status.progress.find((peer) => peer.id === raftId);
  if (progress === undefined || !progress.learner) {
    return new SwarmError('failed-precondition', `Raft member ${raftId} is not a learner`);
  }
  const gap = status.last - progress.match;
  if (progress.recentActive && gap <= PROMOTION_GAP_ENTRIES) return undefined;
  return new SwarmError(
    'failed-precondition',
    progress.recentActive
      ? `Raft member ${raftId} is ${gap} entries behind; promote it once it has caught up`
      : `Raft member ${raftId} does not answer; a voter that is down would weaken the cluster`,
  );
}

/** What remains must have a quorum that answers (as SwarmKit's CanRemoveMember). */
function checkRemoval(raftId: number, status: Status): SwarmError | undefined {
  if (!status.conf.voters.includes(raftId)) return undefined;
  const rest = status.conf.voters.filter((voter) => voter !== raftId);
  if (rest.length === 0) {
    return new SwarmError('failed-precondition', 'the last voter cannot be removed');
  }
  const alive = rest.filter((voter) => voter === status.id || answers(status.progress, voter));
  const quorum = Math.floor(rest.length / 2) + 1;
  if (alive.length >= quorum) return undefined;
  return new SwarmError(
    'failed-precondition',
    `without Raft member ${raftId} only ${alive.length} of ${rest.length} voters would answer, and ` +
      `${quorum} are needed; bring one back or add one first`,
  );
}

function answers(progress: readonly ProgressStatus[], raftId: number): boolean {
  return progress.some((peer) => peer.id === raftId && peer.recentActive);
}

function single(kind: 'addVoter' | 'remove', id: number): ConfChange {
  return { transition: 'auto', steps: [{ kind, id }], context: NOTHING };
}

/** For a conf change that tells of `members`; the checksum of its entry vouches for the shape. */
export function memberContext(context: MemberContext): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(context));
}

function decodeContext(context: Uint8Array): MemberContext {
  if (context.length === 0) return { members: [] };
  return JSON.parse(new TextDecoder().decode(context)) as MemberContext;
}
