/** Everything a member can say about itself and its peers. Pure. */
import type { ProbeReason, ProgressStatus, Status } from '../core/types.ts';
import type { PeerReport, RaftMember, RaftReport, ReplicationReport } from './types.ts';
import type { LinkReport } from './network.ts';

/** What is known of a peer beside the core's progress. */
export interface PeerContact {
  readonly link: LinkReport;
  /** Since a message of it arrived. */
  readonly silentMs: number | undefined;
}

export function peerReports(
  status: Status,
  members: readonly RaftMember[],
  contactOf: (raftId: number) => PeerContact,
): PeerReport[] {
  return members
    .filter((member) => member.raftId !== status.id)
    .map((member) => {
      const { link, silentMs } = contactOf(member.raftId);
      const progress = status.progress.find((peer) => peer.id === member.raftId);
      return {
        ...member,
        ...link,
        lastContactMs: silentMs,
        replication: progress && replicationOf(progress, status),
        limit: progress === undefined ? '' : limitOf(progress, status, { link, silentMs }),
      };
    });
}

/** How old what this member knows of the leader is. */
export function leaderContact(
  status: Status,
  silentMs: (raftId: number) => number | undefined,
): RaftReport['leaderContactMs'] {
  if (status.leader === 0) return undefined;
  return status.leader === status.id ? 0 : silentMs(status.leader);
}

function replicationOf(progress: ProgressStatus, { last }: Status): ReplicationReport {
  const { state, match, next, inflightMessages, inflightBytes, pendingSnapshot } = progress;
  const behind = last - match;
  return { state, match, next, behind, inflightMessages, inflightBytes, pendingSnapshot };
}

const PROBING: Record<ProbeReason, string> = {
  started: 'probing: it has not answered in this term yet',
  rejected: 'probing after rejection: looking for the entry where the logs meet',
  unreachable: 'probing: messages to it were lost',
  snapshot: 'probing after a snapshot: waiting for its first answer',
};

/** The nearest cause first: without a connection nothing else matters. */
function limitOf(progress: ProgressStatus, status: Status, contact: PeerContact): string {
  const { link, silentMs } = contact;
  if (link.connection === 'closed') {
    const why = link.connectionError === undefined ? '' : `: ${link.connectionError}`;
    return `not connected for ${seconds(link.connectionAgeMs ?? 0)}${why}`;
  }
  if (!progress.recentActive) {
    return silentMs === undefined ? 'never heard from' : `silent for ${seconds(silentMs)}`;
  }
  if (progress.state === 'snapshot') {
    return `waiting for snapshot ${progress.pendingSnapshot} to arrive there`;
  }
  if (progress.state === 'probe') {
    if (progress.next < status.first) {
      return `needs a snapshot: entries before ${status.first} are gone from the log`;
    }
    return progress.probing === undefined ? '' : PROBING[progress.probing];
  }
  if (progress.inflightFull === undefined) return '';
  return progress.inflightFull === 'bytes'
    ? `window of bytes full: ${progress.inflightBytes} bytes without an answer`
    : `window of messages full: ${progress.inflightMessages} without an answer`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
