/** Whether the managers can do without one of them (pure). Rule of SwarmKit's CanRemoveMember. */
import { SwarmError } from '@swarmd/base';
import type { RaftMember, RaftStatus } from '@swarmd/raft';

/** Why not, `failed-precondition`: the reachable voters that stay are no majority of those that stay. */
export function checkRemoval(status: RaftStatus, leaving: RaftMember): SwarmError | undefined {
  if (leaving.role !== 'voter') return undefined;
  const staying = status.members.filter(
    (member) => member.role === 'voter' && member.raftId !== leaving.raftId,
  );
  if (staying.length === 0) {
    return new SwarmError(
      'failed-precondition',
      `node ${leaving.nodeId} is the last manager; without it the cluster would be lost: ` +
        `promote another node first (swarmctl node promote NODE), or, to end the cluster, ` +
        `let all other nodes leave and then this one: swarmctl swarm leave --force`,
    );
  }
  const silent = staying.filter((member) => !isReachable(status, member));
  const reachable = staying.length - silent.length;
  const majority = Math.floor(staying.length / 2) + 1;
  if (reachable >= majority) return undefined;
  return new SwarmError(
    'failed-precondition',
    `without manager ${leaving.nodeId} the quorum would be lost: of the ${staying.length} that stay ` +
      `only ${reachable} can be reached, and ${majority} are needed; bring ${nodesOf(silent)} back, or, ` +
      `if they are lost for good, remove one first: swarmctl node rm --force ${silent[0]?.nodeId}`,
  );
}

function nodesOf(members: readonly RaftMember[]): string {
  return members.map((member) => member.nodeId).join(', ');
}

function isReachable(status: RaftStatus, member: RaftMember): boolean {
  if (member.raftId === status.raftId) return true;
  return status.progress.some((peer) => peer.raftId === member.raftId && peer.recentlyActive);
}
