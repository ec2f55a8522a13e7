/** The leader: it takes proposals, follows every peer's progress, and steps down when it must. */
import { assert, unreachable } from '@swarmd/base';
import { decodeConfChange, isLeaveJoint } from './conf-change-codec.ts';
import type { Member } from './member.ts';
import { isJoint } from './membership.ts';
import type { Progress } from './progress.ts';
import { confirmReads, releaseEarlyReads, requestRead } from './reads.ts';
import {
  appendProposals,
  broadcastAppend,
  commitByQuorum,
  sendAppend,
  sendAppendIfAny,
} from './replication.ts';
import { becomeFollower } from './roles.ts';
import {
  NO_ID,
  type AppendReply,
  type HeartbeatReply,
  type Message,
  type Proposal,
  type RaftId,
  type StepOutcome,
} from './types.ts';

export function leaderMessage(member: Member, message: Message): StepOutcome {
  switch (message.kind) {
    case 'propose':
      return propose(member, message.entries);
    case 'readIndex':
      requestRead(member, { from: message.from, id: message.id });
      return 'accepted';
    case 'transfer':
      transferLeadership(member, message.target);
      return 'accepted';
    case 'appendReply':
    case 'heartbeatReply': {
      const progress = member.tracker.progress(message.from);
      if (!progress) return 'accepted';
      progress.recentActive = true;
      if (message.kind === 'appendReply') handleAppendReply(member, message, progress);
      else handleHeartbeatReply(member, message, progress);
      return 'accepted';
    }
    case 'append':
    case 'heartbeat':
    case 'snapshot':
    case 'vote':
    case 'preVote':
    case 'voteReply':
    case 'preVoteReply':
    case 'timeoutNow':
    case 'readIndexReply':
      return 'accepted';
    default:
      return unreachable(message);
  }
}

/** Appends all of `proposals` or none. Membership changes that are not allowed now become empty. */
export function propose(member: Member, proposals: readonly Proposal[]): StepOutcome {
  assert(proposals.length > 0, 'a proposal has entries');
  if (!member.tracker.has(member.id)) return 'notMember';
  if (member.transferTarget !== NO_ID) return 'transferring';
  const before = member.pendingConfIndex;
  const checked = proposals.map((proposal, position) => {
    if (proposal.kind === 'normal') return proposal;
    if (!mayChange(member, proposal)) return { kind: 'normal' as const, data: new Uint8Array() };
    member.pendingConfIndex = member.log.last() + position + 1;
    return proposal;
  });
  if (!appendProposals(member, checked)) {
    member.pendingConfIndex = before;
    return 'tooMuchUncommitted';
  }
  broadcastAppend(member);
  return checked.every((proposal, at) => proposal === proposals[at])
    ? 'accepted'
    : 'confChangeRefused';
}

/** One change at a time, and each is applied before the next is appended (etcd #7625, rule Apply). */
function mayChange(member: Member, proposal: Proposal): boolean {
  if (!member.config.validateConfChanges) return true;
  if (member.pendingConfIndex > member.log.applied) return false;
  const leaves = isLeaveJoint(decodeConfChange(proposal));
  return leaves === isJoint(member.tracker.membership);
}

function handleAppendReply(member: Member, reply: AppendReply, progress: Progress): void {
  if (reply.reject) {
    const { hint } = reply;
    const meeting =
      hint.term > 0 ? member.log.findConflictByTerm(hint.index, hint.term).index : hint.index;
    if (!progress.reject(reply.index, meeting)) return;
    if (progress.state === 'replicate') progress.becomeProbe('rejected');
    sendAppend(member, reply.from);
    return;
  }
  // A peer in probe that turns out to be caught up must get out of it, news or not.
  const rescued = progress.match === reply.index && progress.state === 'probe';
  if (!progress.acknowledge(reply.index) && !rescued) return;
  advanceProgress(member, reply.index, progress);
  if (commitByQuorum(member)) {
    releaseEarlyReads(member);
    broadcastAppend(member);
  } else if (reply.from !== member.id && progress.commitIsNews(member.log.committed)) {
    sendAppend(member, reply.from);
  }
  if (reply.from === member.id) return;
  while (sendAppendIfAny(member, reply.from, { evenIfEmpty: false }));
  if (reply.from === member.transferTarget && progress.match === member.log.last()) {
    sendTimeoutNow(member, reply.from);
  }
}

function advanceProgress(member: Member, index: number, progress: Progress): void {
  if (progress.state === 'probe') {
    progress.becomeReplicate();
  } else if (progress.state === 'snapshot') {
    // Any snapshot that reconnects the logs will do, even an older one than was sent.
    if (progress.match + 1 < member.log.first()) return;
    progress.becomeProbe('snapshot');
    progress.becomeReplicate();
  } else {
    progress.inflights.release(index);
  }
}

function handleHeartbeatReply(member: Member, reply: HeartbeatReply, progress: Progress): void {
  progress.paused = false;
  if (progress.match < member.log.last() || progress.state === 'probe') {
    sendAppend(member, reply.from);
  }
  if (member.config.readMode !== 'safe' || reply.readSeq === 0) return;
  member.reads.acknowledge(reply.from, reply.readSeq);
  confirmReads(member);
}

export function peerUnreachable(member: Member, peer: RaftId): void {
  const progress = member.tracker.progress(peer);
  if (progress?.state === 'replicate') progress.becomeProbe('unreachable');
}

export function snapshotFinished(member: Member, peer: RaftId, ok: boolean): void {
  const progress = member.tracker.progress(peer);
  if (progress?.state !== 'snapshot') return;
  // A failed one is no meeting point.
  if (!ok) progress.pendingSnapshot = 0;
  progress.becomeProbe('snapshot');
  // Either way the peer speaks first: it answers the snapshot, or a heartbeat.
  progress.paused = true;
}

/** Hands leadership to `target`: at once if it has everything, else as soon as it has. */
export function transferLeadership(member: Member, target: RaftId): void {
  const progress = member.tracker.progress(target);
  if (!progress || progress.learner || target === member.transferTarget) return;
  // A second wish replaces the first, even when it comes to nothing.
  member.transferTarget = NO_ID;
  if (target === member.id) return;
  member.electionElapsed = 0;
  member.transferTarget = target;
  if (progress.match === member.log.last()) sendTimeoutNow(member, target);
  else sendAppend(member, target);
}

function sendTimeoutNow(member: Member, to: RaftId): void {
  member.send({ ...member.address(to), kind: 'timeoutNow' });
}

/** Every election timeout: a leader that hears no quorum may have been replaced already. */
export function checkQuorum(member: Member): void {
  if (!member.tracker.quorumActive()) becomeFollower(member, member.term, NO_ID);
  for (const [id, progress] of member.tracker.members()) {
    if (id !== member.id) progress.recentActive = false;
  }
}
