/** Linearizable reads on the leader: when the commit index may be given out. */
import type { Member } from './member.ts';
import type { ReadRequest } from './read-index.ts';
import { broadcastHeartbeat, hasCommittedInTerm } from './replication.ts';

export function requestRead(member: Member, request: ReadRequest): void {
  // Before its first own commit a leader does not know what is committed (etcd #7331). That holds
  // for a single member too: after a crash its stored commit index may be old.
  if (!hasCommittedInTerm(member)) member.reads.addEarly(request);
  else startRead(member, request);
}

/** Something of this term is committed: reads that came too early can start. */
export function releaseEarlyReads(member: Member): void {
  if (!hasCommittedInTerm(member)) return;
  for (const request of member.reads.takeEarly()) startRead(member, request);
}

/** Answers all reads that a quorum has confirmed by now. */
export function confirmReads(member: Member): void {
  for (const { request, index } of member.reads.takeConfirmed(member.tracker.membership)) {
    answerRead(member, request, index);
  }
}

function startRead(member: Member, request: ReadRequest): void {
  const index = member.log.committed;
  if (member.config.readMode === 'lease' || member.tracker.isSoleVoter(member.id)) {
    answerRead(member, request, index);
    return;
  }
  member.reads.add(request, index);
  member.reads.acknowledge(member.id, member.reads.heartbeatSeq());
  member.readsToConfirm = true;
}

/** One round of heartbeats confirms all reads that arrived since the last. Before every Ready. */
export function askForConfirmation(member: Member): void {
  if (!member.readsToConfirm) return;
  member.readsToConfirm = false;
  broadcastHeartbeat(member);
}

function answerRead(member: Member, request: ReadRequest, index: number): void {
  if (request.from === member.id) {
    member.outbox.content.reads.push({ id: request.id, index });
    return;
  }
  const to = member.address(request.from);
  member.send({ ...to, kind: 'readIndexReply', id: request.id, index });
}
