/**
 * A new cluster out of one survivor, when the others are lost for good: the changes of membership
 * that leave this member as the only voter, decided by nobody but its operator. Pure.
 *
 * The whole log is kept, also what this member did not know to be committed: part of that may have
 * been acknowledged (docs/adr/0008-force-new-cluster.md). The changes follow it in a term of their
 * own, and one batch on the disk makes all of it the past: after a crash it has happened or not.
 */
import { assert, SwarmError } from '@swarmd/base';

import { MembershipChanger, restoreMembership, type Group } from '../core/conf-change.ts';
import { decodeConfChange, encodeConfChange, LEAVE_JOINT } from '../core/conf-change-codec.ts';
import { confStateOf, isJoint } from '../core/membership.ts';
import { allVoters } from '../core/quorum.ts';
import type { ConfChange, ConfState, Entry, HardState } from '../core/types.ts';
import type { MemberInfo } from '../wal/header.ts';
import { memberContext, MemberBook, type BookContent } from './membership.ts';

/** What a survivor's disk holds. */
export interface Survivor {
  readonly self: MemberInfo;
  readonly hard: HardState;
  /** As of the snapshot, or of the beginning. */
  readonly conf: ConfState;
  readonly book: BookContent;
  /** Those after the snapshot. */
  readonly entries: readonly Entry[];
  /** Index of the log's end, also when there are no entries. */
  readonly last: number;
}

/** To be written in one batch; everything up to `hard.commit` counts as committed then. */
export interface ForcedCluster {
  readonly append: readonly Entry[];
  readonly hard: HardState;
  /** Raft ids that are refused from now on. */
  readonly expelled: readonly number[];
}

// Nothing is tracked here.
const CONTEXT = { lastIndex: 0, limits: { messages: 1, bytes: 1 } };

/**
 * The batch that founds the new cluster, or undefined when this member is alone in its cluster
 * already. `incarnation`: drawn anew, names the new cluster among those with the same cluster id.
 * @throws SwarmError `failed-precondition` when the log does not name this member.
 */
export function forceCluster(survivor: Survivor, incarnation: number): ForcedCluster | undefined {
  const { self, hard, last } = survivor;
  const { group, book } = replay(survivor);
  const known = new Set(book.members().map((member) => member.raftId));
  if (!known.has(self.raftId) || !group.progress.has(self.raftId)) {
    throw new SwarmError(
      'failed-precondition',
      `the log of Raft member ${self.raftId} does not know of this member yet, so it holds nothing ` +
        'to found a cluster with; take another survivor',
    );
  }
  const others = [...new Set([...known, ...group.progress.keys()])]
    .filter((raftId) => raftId !== self.raftId)
    .sort((a, b) => a - b);
  if (others.length === 0 && isAloneVoter(group, self.raftId)) return undefined;
  const changes = expel(group, { self, others, incarnation });
  const term = hard.term + 1;
  const append = changes.map((change, i) => ({
    index: last + 1 + i,
    term,
    kind: 'confChange' as const,
    data: encodeConfChange(change),
  }));
  return {
    append,
    hard: { term, vote: self.raftId, commit: last + append.length },
    expelled: others,
  };
}

/** Membership at the end of the log, by way of every change in it. */
function replay(survivor: Survivor): { group: Group; book: MemberBook } {
  const book = new MemberBook(survivor.book);
  let group = restoreMembership(survivor.conf, CONTEXT);
  for (const entry of survivor.entries) {
    if (entry.kind === 'normal') continue;
    const change = decodeConfChange(entry);
    group = changed(group, change);
    book.apply(change);
  }
  return { group, book };
}

/** One voter a change, so that none of them is joint: nobody else is there to vote. */
function expel(
  start: Group,
  plan: { self: MemberInfo; others: readonly number[]; incarnation: number },
): ConfChange[] {
  const { self, others, incarnation } = plan;
  const changes: ConfChange[] = [];
  if (isJoint(start.membership)) changes.push(LEAVE_JOINT);
  const context = memberContext({ members: [self], incarnation });
  changes.push({ transition: 'auto', steps: [{ kind: 'addVoter', id: self.raftId }], context });
  for (const id of others) {
    changes.push({
      transition: 'auto',
      steps: [{ kind: 'remove', id }],
      context: new Uint8Array(),
    });
  }
  const end = changes.reduce(changed, start);
  assert(isAloneVoter(end, self.raftId), `member ${self.raftId} is the only voter of its cluster`);
  return changes;
}

function changed(group: Group, change: ConfChange): Group {
  const result = new MembershipChanger(group, CONTEXT).apply(change);
  assert(result.ok, `a membership change in the log applies: ${JSON.stringify(change.steps)}`);
  return result.group;
}

function isAloneVoter(group: Group, raftId: number): boolean {
  const { learners } = confStateOf(group.membership);
  const voters = allVoters(group.membership);
  return learners.length === 0 && voters.length === 1 && voters[0] === raftId;
}
