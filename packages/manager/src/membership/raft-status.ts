/** Raft as this manager sees it, for `swarm raft status`. */
import type { RaftMemberInfo, RaftPeerInfo, RaftStatusInfo } from '@swarmd/api';
import { asId } from '@swarmd/model';
import type { PeerReport, RaftMember, RaftReport } from '@swarmd/raft';

const US_PER_MS = 1_000;

export function raftStatusInfo(report: RaftReport): RaftStatusInfo {
  const { raftId, role, term, leader, commit, applied, first, last, progress } = report;
  const { snapshot, logEntries, logBytes, leaderContactMs, transferTarget, writes } = report;
  return {
    raftId,
    role,
    term,
    leader,
    commit,
    applied,
    first,
    last,
    progress,
    snapshot,
    logEntries,
    logBytes,
    transferTarget,
    ...(leaderContactMs === undefined ? {} : { leaderContactMs: Math.round(leaderContactMs) }),
    writeP99Us: Math.round(writes.p99Ms * US_PER_MS),
    members: report.members.map(memberInfo),
    peers: report.peers.map(peerInfo),
  };
}

export function memberInfo({ raftId, nodeId, address, role }: RaftMember): RaftMemberInfo {
  return { raftId, nodeId: asId('node', nodeId), address, role };
}

function peerInfo(peer: PeerReport): RaftPeerInfo {
  const { raftId, connection, connectionError = '', lastContactMs, queuedMessages } = peer;
  const { replication, limit } = peer;
  return {
    raftId,
    connection,
    connectionError,
    queuedMessages,
    limit,
    ...(lastContactMs === undefined ? {} : { lastContactMs: Math.round(lastContactMs) }),
    ...(replication === undefined
      ? {}
      : { behind: replication.behind, inflightMessages: replication.inflightMessages }),
  };
}
