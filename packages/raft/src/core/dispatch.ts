/** Where messages enter: terms are compared first (Raft paper, section 5.1), then the role acts. */
import { unreachable } from '@swarmd/base';
import { candidateMessage } from './candidate.ts';
import { answerVote, hasLiveLeader, rejectVote } from './election.ts';
import { answerStaleLeader, followerMessage } from './follower.ts';
import { leaderMessage } from './leader.ts';
import type { Member } from './member.ts';
import { becomeFollower } from './roles.ts';
import { NO_ID, type Message, type StepOutcome } from './types.ts';

export function handleMessage(member: Member, message: Message): StepOutcome {
  if (!isTermless(message)) {
    if (message.term < member.term) {
      handleStale(member, message);
      return 'accepted';
    }
    if (message.term > member.term && !meetNewerTerm(member, message)) return 'accepted';
  }
  if (message.kind === 'vote' || message.kind === 'preVote') {
    answerVote(member, message);
    return 'accepted';
  }
  return roleMessage(member, message);
}

export function roleMessage(member: Member, message: Message): StepOutcome {
  switch (member.role) {
    case 'leader':
      return leaderMessage(member, message);
    case 'candidate':
    case 'pre-candidate':
      return candidateMessage(member, message);
    case 'follower':
      return followerMessage(member, message);
    default:
      return unreachable(member.role);
  }
}

/** Requests that are passed on as they are; whoever leads may serve them. */
function isTermless(message: Message): boolean {
  return message.kind === 'propose' || message.kind === 'readIndex';
}

/** Follows a newer term. False if the message must be ignored altogether. */
function meetNewerTerm(member: Member, message: Message): boolean {
  const { kind, term } = message;
  // Who is cut off or was removed must not disturb a group that has a leader.
  const asksVote = kind === 'vote' || kind === 'preVote';
  if (asksVote && !message.transfer && hasLiveLeader(member)) return false;
  // A pre-vote and its grant are about a term that does not exist yet.
  if (kind === 'preVote' || (kind === 'preVoteReply' && !message.reject)) return true;
  const fromLeader = kind === 'append' || kind === 'heartbeat' || kind === 'snapshot';
  becomeFollower(member, term, fromLeader ? message.from : NO_ID);
  return true;
}

/**
 * Old messages are dropped, except where silence would never end: a leader that a member with a
 * higher term ignores, and a pre-candidate that is behind.
 */
function handleStale(member: Member, message: Message): void {
  const { checkQuorum, preVote } = member.config;
  if (message.kind === 'append' || message.kind === 'heartbeat') {
    if (checkQuorum || preVote) answerStaleLeader(member, message);
  } else if (message.kind === 'preVote') {
    rejectVote(member, message);
  }
}
