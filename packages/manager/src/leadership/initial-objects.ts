/** The first objects of a cluster: the cluster itself and the node of its first manager. */
import type { Clock } from '@swarmd/base';
import {
  type Cluster,
  type ClusterId,
  type ClusterSpec,
  type Node,
  type NodeId,
} from '@swarmd/model';
import { createJoinToken } from '@swarmd/pki';
import type { Store, Transaction } from '@swarmd/store';

import { newNode } from '../identity/new-node.ts';

export interface InitialObjects {
  readonly clock: Clock;
  readonly clusterId: ClusterId;
  readonly self: {
    readonly nodeId: NodeId;
    readonly raftId: number;
    readonly apiAddress: string;
    readonly raftAddress: string;
  };
  /** Only given to the manager that makes the cluster. */
  readonly bootstrap?: {
    readonly clusterSpec: ClusterSpec;
    readonly rootCa: { readonly certificatePem: string; readonly keyPem: string };
  };
}

/** Does nothing when they are there; corrects this manager's own addresses. */
export async function ensureInitialObjects(
  store: Store,
  initial: InitialObjects,
  signal: AbortSignal,
): Promise<void> {
  await store.update((tx) => {
    if (initial.bootstrap !== undefined && tx.count('cluster') === 0) {
      tx.put('cluster', newCluster(initial, initial.bootstrap));
    }
    ensureSelf(tx, initial);
  }, signal);
}

function newCluster(
  initial: InitialObjects,
  bootstrap: NonNullable<InitialObjects['bootstrap']>,
): Cluster {
  const now = initial.clock.now();
  const { certificatePem, keyPem } = bootstrap.rootCa;
  return {
    id: initial.clusterId,
    removedManagers: [],
    meta: { version: 0, createdAt: now, updatedAt: now },
    spec: bootstrap.clusterSpec,
    rootCa: {
      certificatePem,
      keyPem,
      joinTokens: {
        worker: createJoinToken(certificatePem),
        manager: createJoinToken(certificatePem),
      },
    },
  };
}

function ensureSelf(tx: Transaction, initial: InitialObjects): void {
  const { nodeId, raftId, apiAddress, raftAddress } = initial.self;
  const stored = tx.get('node', nodeId);
  const { manager } = stored ?? {};
  if (
    manager?.raftId === raftId &&
    manager.apiAddress === apiAddress &&
    manager.raftAddress === raftAddress
  ) {
    return;
  }
  // Only the first manager makes its own node: one that is missing later was removed.
  if (stored === undefined && initial.bootstrap === undefined) return;
  const node: Node =
    stored ?? newNode(tx, { id: nodeId, role: 'manager', now: initial.clock.now() });
  tx.put('node', { ...node, manager: { raftId, apiAddress, raftAddress } });
}
