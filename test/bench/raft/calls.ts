/** What the parts of the benchmark ask our managers. */
import type { RaftStatusInfo } from '@swarmd/api';
import { openCluster, type ClusterClient } from '@swarmd/client';
import type { Host } from '@swarmd/lab';
import type { ServiceSpecInput } from '@swarmd/model';

const WAIT_MS = 120_000;
/** As many as one transaction plans without being felt. */
export const TASKS_PER_SERVICE = 1_000;

export const call = (timeoutMs = WAIT_MS): { signal: AbortSignal; timeoutMs: number } => ({
  signal: AbortSignal.timeout(timeoutMs),
  timeoutMs,
});

/** The API of the manager on a host, by way of its socket. */
export function openOn(host: Host): ClusterClient & Disposable {
  return openCluster(`/proc/${host.initPid}/root/run/swarmd/control.sock`);
}

/** A service whose tasks no node may take: they cost state and decisions, and nothing else. */
export function unplaceable(name: string, replicas: number): ServiceSpecInput {
  return {
    name,
    mode: { kind: 'replicated', replicas },
    task: {
      container: { image: 'nothing:1' },
      placement: { constraints: ['node.labels.never==1'] },
    },
  };
}

/** Raft as the manager on a host sees it. */
export async function raftStatus(host: Host): Promise<RaftStatusInfo> {
  using client = openOn(host);
  return await client.membership.status({}, call());
}

/** Up to which entry the leader knows another manager's log to be its own; 0: it knows nothing. */
export async function matchOf(leader: Host, of: Host): Promise<number> {
  const { members, progress } = await raftStatus(leader);
  const member = members.find((one) => one.address.startsWith(`${of.place.address}:`));
  return progress.find((one) => one.raftId === member?.raftId)?.match ?? 0;
}
