/** Followers: they take over what their leader has, and say how far they got. */
import { unreachable } from '@swarmd/base';
import { standForElection } from './election.ts';
import { NO_ENTRY, type Member } from './member.ts';
import { isNamedIn } from './membership.ts';
import { restoreMembership } from './conf-change.ts';
import { acknowledge } from './replication.ts';
import {
  NO_ID,
  type AppendMessage,
  type HeartbeatMessage,
  type Message,
  type SnapshotMessage,
  type SnapshotMeta,
  type StepOutcome,
} from './types.ts';

export function followerMessage(member: Member, message: Message): StepOutcome {
  switch (message.kind) {
    case 'append':
      hearLeader(member, message);
      answerAppend(member, message);
      return 'accepted';
    case 'heartbeat':
      hearLeader(member, message);
      answerHeartbeat(member, message);
      return 'accepted';
    case 'snapshot':
      hearLeader(member, message);
      answerSnapshot(member, message);
      return 'accepted';
    case 'timeoutNow':
      // No pre-vote: the leader itself wants to go.
      standForElection(member, 'transfer');
      return 'accepted';
    case 'propose':
      if (member.leader === NO_ID || !member.config.forwardProposals) return 'noLeader';
      member.send({ ...message, to: member.leader });
      return 'accepted';
    case 'transfer':
      if (member.leader === NO_ID) return 'noLeader';
      member.send({ ...message, ...member.address(member.leader) });
      return 'accepted';
    case 'readIndex':
      if (member.leader === NO_ID) return 'noLeader';
      member.send({ ...message, to: member.leader });
      return 'accepted';
    case 'readIndexReply':
      member.outbox.content.reads.push({ id: message.id, index: message.index });
      return 'accepted';
    case 'appendReply':
    case 'heartbeatReply':
    case 'vote':
    case 'preVote':
    case 'voteReply':
    case 'preVoteReply':
      // Late answers to what it asked in another role; votes are answered in dispatch.ts.
      return 'accepted';
    default:
      return unreachable(message);
  }
}

function hearLeader(member: Member, message: Message): void {
  member.electionElapsed = 0;
  member.leader = message.from;
}

function answerAppend(member: Member, message: AppendMessage): void {
  const { log } = member;
  const { previous } = message;
  if (previous.index < log.committed) {
    acknowledge(member, message.from, log.committed);
    return;
  }
  const matched = log.tryAppend(previous, message.entries);
  if (matched !== undefined) {
    log.commitTo(Math.min(message.commit, matched));
    acknowledge(member, message.from, matched);
    return;
  }
  member.send({
    ...member.address(message.from),
    kind: 'appendReply',
    index: previous.index,
    reject: true,
    hint: log.findConflictByTerm(Math.min(previous.index, log.last()), previous.term),
  });
}

function answerHeartbeat(member: Member, message: HeartbeatMessage): void {
  member.log.commitTo(message.commit);
  const { readSeq } = message;
  member.send({ ...member.address(message.from), kind: 'heartbeatReply', readSeq });
}

function answerSnapshot(member: Member, message: SnapshotMessage): void {
  const restored = restore(member, message.snapshot);
  acknowledge(member, message.from, restored ? member.log.last() : member.log.committed);
}

/** True if the snapshot replaces log and state; false if it has nothing new. */
function restore(member: Member, snapshot: SnapshotMeta): boolean {
  const { log } = member;
  if (snapshot.index <= log.committed) return false;
  // A group that it is no part of would make it a stranger for ever.
  if (!isNamedIn(snapshot.confState, member.id)) return false;
  if (log.matches(snapshot)) {
    // The log is the same up to there; fetching the state again would only cost time.
    log.commitTo(snapshot.index);
    return false;
  }
  log.restore(snapshot);
  member.confIndex = snapshot.index;
  member.tracker.adopt(
    restoreMembership(snapshot.confState, {
      lastIndex: log.last(),
      limits: member.inflightLimits,
    }),
  );
  return true;
}

/** An answer that says nothing but the own term, which deposes the sender. */
export function answerStaleLeader(member: Member, message: Message): void {
  member.send({
    ...member.address(message.from),
    kind: 'appendReply',
    index: 0,
    reject: false,
    hint: NO_ENTRY,
  });
}
