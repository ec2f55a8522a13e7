/** Whether the managers can do without one of them (pure). Rule of SwarmKit's CanRemoveMember. */
import { SwarmError } from '@swarmd/base';
import type { RaftMember, RaftStatus } from '@swarmd/raft';

/**
 * @throws SwarmError `failed-precondition` when the reachable voters that stay are no majority of
 * the voters that stay.
 */
export function checkRemoval(status: RaftStatus, leaving: RaftMember): void {
  if (leaving.role !== 'voter') return;
  const staying = status.members.filter(
    (member) => member.role === 'voter' && member.raftId !== leaving.raftId,
  );
  if (staying.length === 0) {
    throw new SwarmError(
      'failed-precondition',
      `node ${leaving.nodeId} is the last manager; without it the cluster would be lost: ` +
        `let all other nodes leave, then leave with force`,
    );
  }
  const reachable = staying.filter((member) => isReachable(status, member));
  const majority = Math.floor(staying.length / 2) + 1;
  if (reachable.length >= majority) return;
  throw new SwarmError(
    'failed-precondition',
    `removing manager ${leaving.nodeId} would lose the quorum: of the ${staying.length} that stay ` +
      `only ${reachable.length} can be reached, ${majority} are needed; bring them back first`,
  );
}

function isReachable(status: RaftStatus, member: RaftMember): boolean {
  if (member.raftId === status.raftId) return true;
  return status.progress.some((peer) => peer.raftId === member.raftId && peer.recentlyActive);
}
