/** Who belongs to the group, as sets. Immutable: a change makes a new one (conf-change.ts). */
import type { Voters } from './quorum.ts';
import type { ConfState, RaftId } from './types.ts';

export interface Membership extends Voters {
  readonly learners: ReadonlySet<RaftId>;
  /** Still voting in the outgoing half; learners once the joint state is left. */
  readonly learnersNext: ReadonlySet<RaftId>;
  readonly autoLeave: boolean;
}

export const EMPTY_MEMBERSHIP: Membership = {
  incoming: new Set(),
  outgoing: new Set(),
  learners: new Set(),
  learnersNext: new Set(),
  autoLeave: false,
};

export const EMPTY_CONF_STATE: ConfState = confStateOf(EMPTY_MEMBERSHIP);

export function isJoint(membership: Membership): boolean {
  return membership.outgoing.size > 0;
}

export function confStateOf(membership: Membership): ConfState {
  return {
    voters: ascending(membership.incoming),
    votersOutgoing: ascending(membership.outgoing),
    learners: ascending(membership.learners),
    learnersNext: ascending(membership.learnersNext),
    autoLeave: membership.autoLeave,
  };
}

/** Does a snapshot of this membership make sense to `id`? */
export function isNamedIn(conf: ConfState, id: RaftId): boolean {
  return [...conf.voters, ...conf.learners, ...conf.votersOutgoing].includes(id);
}

/** Sorted, because the order of a Set is its history. */
export function ascending(ids: Iterable<RaftId>): RaftId[] {
  return [...ids].sort((a, b) => a - b);
}
