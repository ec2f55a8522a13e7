/** A picture of a member, for operators and tests. */
import type { Member } from './member.ts';
import type { Status } from './types.ts';

export function statusOf(member: Member): Status {
  const { log, tracker } = member;
  const members = member.role === 'leader' ? tracker.members() : [];
  return {
    id: member.id,
    role: member.role,
    learner: member.isLearner,
    term: member.term,
    vote: member.vote,
    leader: member.leader,
    commit: log.committed,
    applied: log.applied,
    first: log.first(),
    last: log.last(),
    conf: tracker.confState(),
    transferTarget: member.transferTarget,
    progress: members.map(([id, progress]) => progress.status(id)),
  };
}
