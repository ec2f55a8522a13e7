/** Elections from both sides: when to stand, whom to ask, whom to answer. */
import { NO_ENTRY, type Member } from './member.ts';
import { becomeCandidate, becomeFollower, becomePreCandidate } from './roles.ts';
import { NO_ID, type EntryId, type VoteMessage, type VoteReply } from './types.ts';

type Campaign = 'preVote' | 'vote' | 'transfer';

/** Bytes of committed entries looked at in one go when searching for membership changes. */
const SCAN_BYTES = 1024 * 1024;

/** Stands for election unless that is forbidden. */
export function standForElection(member: Member, campaign: Campaign): void {
  if (member.role === 'leader' || !member.promotable()) return;
  // Its membership may be out of date, and its majority with it (etcd #7625, rule Campaign).
  if (hasUnappliedConfChange(member, member.log.applied)) return;
  runCampaign(member, campaign);
}

/** Asks all voters; the own vote counts when it is durable, like everybody's. */
export function runCampaign(member: Member, campaign: Campaign): void {
  const kind = campaign === 'preVote' ? 'preVote' : 'vote';
  if (kind === 'preVote') becomePreCandidate(member);
  else becomeCandidate(member);
  const term = kind === 'preVote' ? member.term + 1 : member.term;
  for (const id of member.tracker.voters()) {
    if (id === member.id) {
      const reply = kind === 'preVote' ? 'preVoteReply' : 'voteReply';
      const vote = { ...member.address(id), term, reject: false, commit: NO_ENTRY };
      member.send({ ...vote, kind: reply });
      continue;
    }
    member.send({
      ...member.address(id),
      kind,
      term,
      last: member.log.lastId(),
      transfer: campaign === 'transfer',
      commit: ownCommit(member),
    });
  }
}

/** Is there a committed membership change after `index` that this member has not applied? */
export function hasUnappliedConfChange(member: Member, index: number): boolean {
  const { log } = member;
  for (let at = index + 1; at <= log.committed;) {
    const entries = log.slice(at, log.committed + 1, SCAN_BYTES);
    if (entries.some((entry) => entry.kind !== 'normal')) return true;
    at += entries.length;
  }
  return false;
}

/** Is the leader alive, as far as this member knows? Then nobody gets its vote. */
export function hasLiveLeader(member: Member): boolean {
  return (
    member.config.checkQuorum &&
    member.leader !== NO_ID &&
    member.electionElapsed < member.config.electionTicks
  );
}

/**
 * Answers a request of the own term or a pre-vote of a later one. Learners answer too: they may
 * have been promoted without knowing it yet.
 */
export function answerVote(member: Member, request: VoteMessage): void {
  const free =
    member.vote === request.from ||
    (member.vote === NO_ID && member.leader === NO_ID) ||
    (request.kind === 'preVote' && request.term > member.term);
  if (free && member.log.isUpToDate(request.last)) {
    // A granted pre-vote carries the term it is for, or the asker would take it for an old one.
    sendVote(member, request, { reject: false, term: request.term });
    if (request.kind === 'vote') {
      member.electionElapsed = 0;
      member.vote = request.from;
    }
    return;
  }
  rejectVote(member, request);
  learnCommit(member, request.commit);
}

export function rejectVote(member: Member, request: VoteMessage): void {
  sendVote(member, request, { reject: true, term: member.term });
}

function sendVote(
  member: Member,
  request: VoteMessage,
  answer: { reject: boolean; term: number },
): void {
  const reply: Omit<VoteReply, 'kind'> = {
    ...member.address(request.from),
    ...answer,
    commit: answer.reject ? ownCommit(member) : NO_ENTRY,
  };
  member.send({ ...reply, kind: request.kind === 'preVote' ? 'preVoteReply' : 'voteReply' });
}

/**
 * Takes over a commit point seen in an election. Without it the only electable member may not know
 * that a membership change is committed, and wait for a leader that cannot come (etcd #12359).
 */
export function learnCommit(member: Member, commit: EntryId): void {
  if (!member.config.commitInVotes || member.role === 'leader') return;
  const before = member.log.committed;
  if (!member.log.tryCommit(commit)) return;
  const campaigning = member.role !== 'follower';
  if (campaigning && hasUnappliedConfChange(member, before)) {
    // The membership that it asked may be the wrong one: apply first.
    becomeFollower(member, member.term, NO_ID);
  }
}

function ownCommit(member: Member): EntryId {
  return member.config.commitInVotes ? member.log.committedId() : NO_ENTRY;
}
