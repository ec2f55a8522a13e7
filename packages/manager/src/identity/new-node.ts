/** A node as it enters the cluster: with its certificate, before its first session. */
import type { Node, NodeId, NodeRole } from '@swarmd/model';
import { allocateNode } from '@swarmd/planner';
import type { ReadView } from '@swarmd/store';

import { granted } from '../control/granted.ts';

/** @throws SwarmError `resource-exhausted` when the cluster's pools have no room for it. */
export function newNode(
  view: ReadView,
  options: { id: NodeId; role: NodeRole; now: number },
): Node {
  const { id, role, now } = options;
  return {
    id,
    meta: { version: 0, createdAt: now, updatedAt: now },
    spec: { labels: {}, role, availability: 'active' },
    role,
    ...(role === 'manager' && { everManager: true }),
    ...granted(allocateNode(view)),
    status: {
      state: 'unknown',
      message: 'it has a certificate and was not connected yet',
      address: '',
      agentAddress: '',
      since: now,
    },
  };
}
