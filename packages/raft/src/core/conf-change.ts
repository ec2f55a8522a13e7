/**
 * Computes the membership after a change, or why the change is impossible. Three moves: `simple`
 * (at most one voter differs), `enterJoint`, `leaveJoint`; and `restoreMembership`, which rebuilds
 * one from a ConfState. Pure: the caller decides whether to adopt the result.
 */
import { assert } from '@swarmd/base';
import type { InflightLimits } from './inflights.ts';
import { ascending, EMPTY_MEMBERSHIP, isJoint, type Membership } from './membership.ts';
import { Progress } from './progress.ts';
import { allVoters } from './quorum.ts';
import type { ConfChange, ConfChangeStep, ConfState, RaftId } from './types.ts';
import { isLeaveJoint } from './conf-change-codec.ts';

export interface Group {
  readonly membership: Membership;
  /** Exactly the members of `membership`. */
  readonly progress: ReadonlyMap<RaftId, Progress>;
}

export const EMPTY_GROUP: Group = { membership: EMPTY_MEMBERSHIP, progress: new Map() };

export interface ChangeContext {
  readonly lastIndex: number;
  readonly limits: InflightLimits;
}

/** The group after the change, or the reason why there is none. */
export type ChangeResult =
  { readonly ok: true; readonly group: Group } | { readonly ok: false; readonly why: string };

export class MembershipChanger {
  readonly #group: Group;
  readonly #context: ChangeContext;

  constructor(group: Group, context: ChangeContext) {
    this.#group = group;
    this.#context = context;
  }

  apply(change: ConfChange): ChangeResult {
    if (isLeaveJoint(change)) return this.leaveJoint();
    if (change.transition === 'auto' && change.steps.length <= 1) return this.simple(change.steps);
    return this.enterJoint(change.transition !== 'explicit', change.steps);
  }

  simple(steps: readonly ConfChangeStep[]): ChangeResult {
    if (isJoint(this.#group.membership)) {
      return refuse("can't apply simple config change in joint config");
    }
    const draft = new Draft(this.#group, this.#context);
    draft.run(steps);
    if (draft.incoming.size === 0) return refuse('removed all voters');
    if (differences(this.#group.membership.incoming, draft.incoming) > 1) {
      return refuse('more than one voter changed without entering joint config');
    }
    return draft.finish();
  }

  enterJoint(autoLeave: boolean, steps: readonly ConfChangeStep[]): ChangeResult {
    const before = this.#group.membership;
    if (isJoint(before)) return refuse('config is already joint');
    if (before.incoming.size === 0) return refuse("can't make a zero-voter config joint");
    const draft = new Draft(this.#group, this.#context);
    draft.outgoing = new Set(before.incoming);
    draft.run(steps);
    if (draft.incoming.size === 0) return refuse('removed all voters');
    draft.autoLeave = autoLeave;
    return draft.finish();
  }

  leaveJoint(): ChangeResult {
    if (!isJoint(this.#group.membership)) return refuse("can't leave a non-joint config");
    const draft = new Draft(this.#group, this.#context);
    draft.leave();
    return draft.finish();
  }
}

/** The group that a ConfState describes; everybody's progress starts afresh. */
export function restoreMembership(conf: ConfState, context: ChangeContext): Group {
  const adopt = (result: ChangeResult): Group => {
    assert(result.ok, `membership ${JSON.stringify(conf)} cannot be restored`);
    return result.group;
  };
  const add = (kind: ConfChangeStep['kind'], ids: readonly RaftId[]): ConfChangeStep[] =>
    ids.map((id) => ({ kind, id }));
  const incoming = [
    ...add('remove', conf.votersOutgoing),
    ...add('addVoter', conf.voters),
    ...add('addLearner', conf.learners),
    ...add('addLearner', conf.learnersNext),
  ];
  let group = EMPTY_GROUP;
  const joint = conf.votersOutgoing.length > 0;
  for (const step of joint ? add('addVoter', conf.votersOutgoing) : incoming) {
    group = adopt(new MembershipChanger(group, context).simple([step]));
  }
  if (!joint) return group;
  return adopt(new MembershipChanger(group, context).enterJoint(conf.autoLeave, incoming));
}

function differences(a: ReadonlySet<RaftId>, b: ReadonlySet<RaftId>): number {
  const union = new Set([...a, ...b]);
  return [...union].filter((id) => !a.has(id) || !b.has(id)).length;
}

function refuse(why: string): ChangeResult {
  return { ok: false, why };
}

/** A membership under construction. */
class Draft {
  incoming: Set<RaftId>;
  outgoing: Set<RaftId>;
  autoLeave: boolean;
  readonly #learners: Set<RaftId>;
  readonly #learnersNext: Set<RaftId>;
  readonly #progress: Map<RaftId, Progress>;
  /** Decided here, carried out in `finish`: a refused change must not touch live progress. */
  readonly #learnerFlag = new Map<RaftId, boolean>();
  readonly #context: ChangeContext;

  constructor(group: Group, context: ChangeContext) {
    this.incoming = new Set(group.membership.incoming);
    this.outgoing = new Set(group.membership.outgoing);
    this.autoLeave = group.membership.autoLeave;
    this.#learners = new Set(group.membership.learners);
    this.#learnersNext = new Set(group.membership.learnersNext);
    this.#progress = new Map(group.progress);
    this.#context = context;
  }

  run(steps: readonly ConfChangeStep[]): void {
    for (const step of steps) {
      if (step.id === 0) continue;
      if (step.kind === 'addVoter') this.#makeVoter(step.id);
      else if (step.kind === 'addLearner') this.#makeLearner(step.id);
      else if (step.kind === 'remove') this.#remove(step.id);
    }
  }

  leave(): void {
    for (const id of this.#learnersNext) {
      this.#learners.add(id);
      this.#learnerFlag.set(id, true);
    }
    this.#learnersNext.clear();
    for (const id of this.outgoing) {
      if (!this.incoming.has(id) && !this.#learners.has(id)) this.#progress.delete(id);
    }
    this.outgoing.clear();
    this.autoLeave = false;
  }

  finish(): ChangeResult {
    for (const [id, learner] of this.#learnerFlag) {
      const progress = this.#progress.get(id);
      if (progress) progress.learner = learner;
    }
    const membership: Membership = {
      incoming: this.incoming,
      outgoing: this.outgoing,
      learners: this.#learners,
      learnersNext: this.#learnersNext,
      autoLeave: this.autoLeave,
    };
    checkMembership(membership, this.#progress);
    return { ok: true, group: { membership, progress: this.#progress } };
  }

  #makeVoter(id: RaftId): void {
    this.#learners.delete(id);
    this.#learnersNext.delete(id);
    this.incoming.add(id);
    this.#track(id, false);
  }

  #makeLearner(id: RaftId): void {
    if (this.#learners.has(id)) return;
    this.incoming.delete(id);
    // Nobody is voter and learner at once: who still votes in the outgoing half has to wait.
    if (this.outgoing.has(id)) {
      this.#learnersNext.add(id);
      return;
    }
    this.#learners.add(id);
    this.#track(id, true);
  }

  #remove(id: RaftId): void {
    this.incoming.delete(id);
    this.#learners.delete(id);
    this.#learnersNext.delete(id);
    if (!this.outgoing.has(id)) this.#progress.delete(id);
  }

  #track(id: RaftId, learner: boolean): void {
    if (this.#progress.has(id)) {
      this.#learnerFlag.set(id, learner);
      return;
    }
    const progress = new Progress({
      // The newcomer most likely has nothing; probing it at the end finds that out in one message.
      next: Math.max(this.#context.lastIndex, 1),
      learner,
      // Otherwise the next quorum check could fail before the newcomer had a chance to speak.
      recentActive: true,
      limits: this.#context.limits,
    });
    this.#progress.set(id, progress);
    this.#learnerFlag.set(id, learner);
  }
}

function checkMembership(membership: Membership, progress: ReadonlyMap<RaftId, Progress>): void {
  const voters = new Set(allVoters(membership));
  for (const id of [...voters, ...membership.learners, ...membership.learnersNext]) {
    assert(progress.has(id), `member ${id} is tracked`);
  }
  for (const id of membership.learners) {
    assert(!voters.has(id), `member ${id} is not voter and learner at once`);
  }
  for (const id of membership.learnersNext) {
    assert(membership.outgoing.has(id), `member ${id} waits to become a learner as outgoing voter`);
  }
  for (const id of ascending(progress.keys())) {
    const learner = progress.get(id)?.learner ?? false;
    assert(learner === membership.learners.has(id), `member ${id} is tracked as what it is`);
  }
  if (!isJoint(membership)) {
    assert(!membership.autoLeave, 'only a joint membership is left automatically');
  }
}
