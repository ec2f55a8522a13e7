/** Candidates and pre-candidates: they count votes, and give way to a leader of their term. */
import { unreachable } from '@swarmd/base';
import { learnCommit, runCampaign } from './election.ts';
import { followerMessage } from './follower.ts';
import type { Member } from './member.ts';
import { broadcastAppend } from './replication.ts';
import { becomeFollower, becomeLeader } from './roles.ts';
import { NO_ID, type Message, type StepOutcome, type VoteReply } from './types.ts';

export function candidateMessage(member: Member, message: Message): StepOutcome {
  switch (message.kind) {
    case 'append':
    case 'heartbeat':
    case 'snapshot':
      becomeFollower(member, message.term, message.from);
      return followerMessage(member, message);
    case 'voteReply':
      if (member.role === 'candidate') countVote(member, message);
      return 'accepted';
    case 'preVoteReply':
      if (member.role === 'pre-candidate') countVote(member, message);
      return 'accepted';
    case 'propose':
      return 'noLeader';
    case 'appendReply':
    case 'heartbeatReply':
    case 'vote':
    case 'preVote':
    case 'timeoutNow':
    case 'transfer':
    case 'readIndex':
    case 'readIndexReply':
      return 'accepted';
    default:
      return unreachable(message);
  }
}

function countVote(member: Member, reply: VoteReply): void {
  const result = member.tracker.recordVote(reply.from, !reply.reject);
  if (result === 'won') {
    if (member.role === 'pre-candidate') {
      runCampaign(member, 'vote');
    } else {
      becomeLeader(member);
      broadcastAppend(member);
    }
  } else if (result === 'lost') {
    // A pre-candidate's term is the current one: it never left it.
    becomeFollower(member, member.term, NO_ID);
  }
  learnCommit(member, reply.commit);
}
