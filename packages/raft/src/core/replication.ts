/** The leader's side of log replication: what to send to whom, and when an entry is committed. */
import { payloadBytes } from './entry-size.ts';
import type { Member } from './member.ts';
import type { Progress } from './progress.ts';
import { isNamedIn } from './membership.ts';
import type { Entry, Proposal, RaftId } from './types.ts';

/** Sends what `to` is missing, or an empty append that carries the commit index. */
export function sendAppend(member: Member, to: RaftId): void {
  sendAppendIfAny(member, to, { evenIfEmpty: true });
}

/** True if a message was sent. */
export function sendAppendIfAny(
  member: Member,
  to: RaftId,
  options: { evenIfEmpty: boolean },
): boolean {
  const progress = member.tracker.progress(to);
  if (!progress || progress.isPaused()) return false;
  const { log } = member;
  const index = progress.next - 1;
  const term = log.term(index);
  if (term === undefined) return sendSnapshot(member, to, progress);

  // A full window still gets an empty append now and then: all that is in it may be lost.
  const windowFull = progress.state === 'replicate' && progress.inflights.full();
  const entries = windowFull ? [] : log.entriesFrom(index + 1, member.config.maxMessageBytes);
  if (entries?.length === 0 && !options.evenIfEmpty) return false;
  if (entries === undefined) return sendSnapshot(member, to, progress);

  member.send({
    ...member.address(to),
    kind: 'append',
    previous: { term, index },
    entries,
    commit: log.committed,
  });
  progress.sentEntries(entries.length, payloadBytes(entries));
  progress.sentCommit(log.committed);
  return true;
}

function sendSnapshot(member: Member, to: RaftId, progress: Progress): boolean {
  // A dead peer would hold the snapshot's resources for nothing.
  if (!progress.recentActive) return false;
  const snapshot = member.log.snapshot();
  if (!snapshot || !isNamedIn(snapshot.confState, to)) {
    member.outbox.content.snapshotFrom = member.confIndex;
    return false;
  }
  progress.becomeSnapshot(snapshot.index);
  member.send({ ...member.address(to), kind: 'snapshot', snapshot });
  return true;
}

export function broadcastAppend(member: Member): void {
  for (const [id] of member.tracker.members()) {
    if (id !== member.id) sendAppend(member, id);
  }
}

/** Every heartbeat confirms the reads that wait. */
export function broadcastHeartbeat(member: Member): void {
  const readSeq = member.reads.heartbeatSeq();
  for (const [id, progress] of member.tracker.members()) {
    if (id === member.id) continue;
    // The peer may hold entries of an older leader after `match`: it must not commit those.
    const commit = Math.min(progress.match, member.log.committed);
    member.send({ ...member.address(id), kind: 'heartbeat', commit, readSeq });
    progress.sentCommit(commit);
  }
}

/**
 * Appends to the leader's own log; its acknowledgement counts once it is durable. False if too much
 * is uncommitted already: one proposal is always let through, and so is one without content.
 */
export function appendProposals(member: Member, proposals: readonly Proposal[]): boolean {
  const bytes = payloadBytes(proposals);
  const { maxUncommittedBytes } = member.config;
  const exceeds = member.uncommittedBytes + bytes > maxUncommittedBytes;
  if (member.uncommittedBytes > 0 && bytes > 0 && exceeds) return false;
  member.uncommittedBytes += bytes;

  const last = member.log.last();
  const entries: Entry[] = proposals.map((proposal, position) => ({
    term: member.term,
    index: last + 1 + position,
    kind: proposal.kind,
    data: proposal.data,
  }));
  member.log.append(entries);
  acknowledge(member, member.id, last + entries.length);
  return true;
}

/** Tells `to` that this log matches its log up to `index`, as soon as that is durable. */
export function acknowledge(member: Member, to: RaftId, index: number): void {
  member.send({
    ...member.address(to),
    kind: 'appendReply',
    index,
    reject: false,
    hint: { term: 0, index: 0 },
  });
}

/**
 * Commits what a quorum holds, but only counts entries of the leader's own term; older ones are
 * committed with them (Raft paper, section 5.4.2 and figure 8).
 */
export function commitByQuorum(member: Member): boolean {
  return member.log.tryCommit({ term: member.term, index: member.tracker.quorumIndex() });
}

/** Reads and commits of this term are possible from here on. */
export function hasCommittedInTerm(member: Member): boolean {
  return member.log.term(member.log.committed) === member.term;
}
