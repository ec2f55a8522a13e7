/** The group as its member sees it: membership, progress of every peer, votes of this election. */
import type { Group } from './conf-change.ts';
import { confStateOf, type Membership } from './membership.ts';
import type { Progress } from './progress.ts';
import { allVoters, jointIndex, jointVote, type VoteResult } from './quorum.ts';
import type { ConfState, RaftId } from './types.ts';

export class Tracker {
  #group: Group;
  /** Groups are replaced, not changed: what follows from them is worked out once. */
  #members: readonly (readonly [RaftId, Progress])[];
  #confState: ConfState;
  #votes = new Map<RaftId, boolean>();

  constructor(group: Group) {
    this.#group = group;
    this.#members = sorted(group);
    this.#confState = confStateOf(group.membership);
  }

  get group(): Group {
    return this.#group;
  }

  get membership(): Membership {
    return this.#group.membership;
  }

  adopt(group: Group): void {
    if (group.membership !== this.membership) this.#confState = confStateOf(group.membership);
    this.#group = group;
    this.#members = sorted(group);
  }

  confState(): ConfState {
    return this.#confState;
  }

  progress(id: RaftId): Progress | undefined {
    return this.#group.progress.get(id);
  }

  has(id: RaftId): boolean {
    return this.#group.progress.has(id);
  }

  /** Ascending by id, so that no loop depends on history. */
  members(): readonly (readonly [RaftId, Progress])[] {
    return this.#members;
  }

  voters(): RaftId[] {
    return allVoters(this.membership);
  }

  isVoter(id: RaftId): boolean {
    return this.membership.incoming.has(id) || this.membership.outgoing.has(id);
  }

  /** `id` alone decides. */
  isSoleVoter(id: RaftId): boolean {
    const { incoming, outgoing } = this.membership;
    return incoming.size === 1 && outgoing.size === 0 && incoming.has(id);
  }

  /** The largest index that is on a quorum of logs. */
  quorumIndex(): number {
    return jointIndex(this.membership, (id) => this.progress(id)?.match);
  }

  quorumActive(): boolean {
    const active = new Map<RaftId, boolean>();
    for (const [id, progress] of this.members()) {
      if (!progress.learner) active.set(id, progress.recentActive);
    }
    return jointVote(this.membership, active) === 'won';
  }

  resetVotes(): void {
    this.#votes = new Map();
  }

  /** The first answer of a voter counts. */
  recordVote(id: RaftId, granted: boolean): VoteResult {
    if (!this.#votes.has(id)) this.#votes.set(id, granted);
    return jointVote(this.membership, this.#votes);
  }
}

function sorted(group: Group): readonly (readonly [RaftId, Progress])[] {
  return [...group.progress].sort(([a], [b]) => a - b);
}
