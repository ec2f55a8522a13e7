/** The transitions between roles (Raft paper, figure 4, with pre-vote). */
import { assert } from '@swarmd/base';
import type { Member } from './member.ts';
import { appendProposals } from './replication.ts';
import { NO_ID, type RaftId } from './types.ts';

export function becomeFollower(member: Member, term: number, leader: RaftId): void {
  member.reset(term);
  member.leader = leader;
  member.role = 'follower';
}

/** Changes neither term nor vote: a pre-candidate has promised nothing. */
export function becomePreCandidate(member: Member): void {
  assert(member.role !== 'leader', 'a leader does not ask for pre-votes');
  member.tracker.resetVotes();
  member.leader = NO_ID;
  member.role = 'pre-candidate';
}

export function becomeCandidate(member: Member): void {
  assert(member.role !== 'leader', 'a leader does not ask for votes');
  member.reset(member.term + 1);
  member.vote = member.id;
  member.role = 'candidate';
}

export function becomeLeader(member: Member): void {
  assert(member.role === 'candidate', 'only a candidate is elected');
  member.reset(member.term);
  member.leader = member.id;
  member.role = 'leader';
  const own = member.tracker.progress(member.id);
  assert(own, 'a leader belongs to the group');
  own.becomeReplicate();
  own.recentActive = true;
  // Whatever is in the log may hold a change that is not applied yet: wait for all of it.
  member.pendingConfIndex = member.log.last();
  const accepted = appendProposals(member, [{ kind: 'normal', data: new Uint8Array() }]);
  assert(accepted, "the new leader's first entry is never refused");
}
