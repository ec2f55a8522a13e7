/** Time passes: elections on followers and candidates, heartbeats and quorum checks on the leader. */
import { standForElection } from './election.ts';
import { checkQuorum, snapshotFinished } from './leader.ts';
import type { Member } from './member.ts';
import { leaveJointIfDue } from './reconfigure.ts';
import { broadcastHeartbeat } from './replication.ts';
import { NO_ID } from './types.ts';

export function tick(member: Member): void {
  if (member.role === 'leader') tickLeader(member);
  else tickElection(member);
}

function tickElection(member: Member): void {
  member.electionElapsed++;
  if (!member.promotable() || member.electionElapsed < member.electionTimeout) return;
  member.electionElapsed = 0;
  standForElection(member, member.config.preVote ? 'preVote' : 'vote');
}

function tickLeader(member: Member): void {
  const { config } = member;
  member.heartbeatElapsed++;
  member.electionElapsed++;
  if (member.electionElapsed >= config.electionTicks) {
    member.electionElapsed = 0;
    if (config.checkQuorum) checkQuorum(member);
    // The target had its time: take proposals again.
    member.transferTarget = NO_ID;
    leaveJointIfDue(member);
  }
  if (!stillLeader(member)) return;
  tickSnapshots(member);
  if (member.heartbeatElapsed < config.heartbeatTicks) return;
  member.heartbeatElapsed = 0;
  broadcastHeartbeat(member);
}

/** A function, because the type checker does not know that `checkQuorum` changes the role. */
function stillLeader(member: Member): boolean {
  return member.role === 'leader';
}

/** A snapshot whose outcome is never reported must not silence its peer for ever. */
function tickSnapshots(member: Member): void {
  const limit = member.config.snapshotTicks;
  for (const [id, progress] of member.tracker.members()) {
    if (progress.state !== 'snapshot') continue;
    progress.snapshotTicks++;
    if (progress.snapshotTicks >= limit) snapshotFinished(member, id, false);
  }
}
