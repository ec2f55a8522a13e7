/**
 * A certificate outlives a removal or a demotion. What is for managers is only for nodes that are
 * managers by the present state of the cluster.
 */
import { guarded, type Call } from '@swarmd/api';
import { SwarmError } from '@swarmd/base';
import type { NodeId } from '@swarmd/model';
import type { ReadView } from '@swarmd/store';

/** The same service; its methods throw before they do anything for others. */
export function forKnownManagers<Service extends object>(
  service: Service,
  view: ReadView,
): Service {
  return guarded(service, (call) => refuseStrangers(view, call));
}

/** @throws SwarmError `permission-denied`; `unavailable` when it may only be too new to be known. */
function refuseStrangers(view: ReadView, call: Call): void {
  const peer = call.forwardedBy ?? call.peer;
  if (peer === undefined) return;
  const node = view.get('node', peer.nodeId);
  if (node === undefined && wasRemoved(view, peer.nodeId)) {
    throw new SwarmError(
      'permission-denied',
      `node ${peer.nodeId} was removed from the cluster, and its certificate with it; ` +
        'on that machine: swarmctl swarm leave --force, then join again with a token',
    );
  }
  if (node === undefined) {
    throw new SwarmError(
      'unavailable',
      `this manager does not know node ${peer.nodeId}: it was removed from the cluster, ` +
        `or has joined so lately that this manager has not heard of it`,
    );
  }
  if (node.spec.role === 'manager') return;
  throw new SwarmError(
    'permission-denied',
    `node ${peer.nodeId} is not a manager any more; to make it one: swarmctl node promote ${peer.nodeId}`,
  );
}

function wasRemoved(view: ReadView, nodeId: NodeId): boolean {
  for (const { removedManagers } of view.list('cluster')) return removedManagers.includes(nodeId);
  return false;
}
