/** The core's status in the words of the public contract. Pure. */
import type { Status } from '../core/types.ts';
import type { MemberInfo } from '../wal/header.ts';
import { withRoles } from './membership.ts';
import type { RaftStatus } from './types.ts';

export function publicStatus(status: Status, members: readonly MemberInfo[]): RaftStatus {
  const { conf, id } = status;
  const votes = conf.voters.includes(id) || conf.votersOutgoing.includes(id);
  return {
    raftId: id,
    role: votes ? status.role : 'learner',
    term: status.term,
    leader: status.leader,
    commit: status.commit,
    applied: status.applied,
    first: status.first,
    last: status.last,
    members: withRoles(members, conf),
    progress: status.progress.map((peer) => ({
      raftId: peer.id,
      state: peer.state,
      match: peer.match,
      next: peer.next,
      recentlyActive: peer.recentActive,
    })),
  };
}

/** What `onStatus` tells of: role, term, leader, members. Indexes and progress change all the time. */
export function isNews(before: RaftStatus | undefined, after: RaftStatus): boolean {
  if (before === undefined) return true;
  return (
    before.role !== after.role ||
    before.term !== after.term ||
    before.leader !== after.leader ||
    JSON.stringify(before.members) !== JSON.stringify(after.members)
  );
}

/** Is there anything in it that was not told yet? */
export function differs(before: RaftStatus | undefined, after: RaftStatus): boolean {
  return (
    before?.commit !== after.commit ||
    before.applied !== after.applied ||
    before.last !== after.last ||
    before.first !== after.first ||
    isNews(before, after) ||
    JSON.stringify(before.progress) !== JSON.stringify(after.progress)
  );
}

/** The voter that can take over soonest: it answers, and has most of the log. */
export function bestSuccessor(status: Status): number | undefined {
  const able = status.progress.filter(
    (peer) => peer.id !== status.id && !peer.learner && peer.recentActive,
  );
  return able.sort((a, b) => b.match - a.match)[0]?.id;
}
