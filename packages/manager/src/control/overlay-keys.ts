/** When the first keys of a cluster are made, and who may not be without a part in encryption. */
import { SwarmError } from '@swarmd/base';
import type { Cluster } from '@swarmd/model';
import { createOverlaySecret } from '@swarmd/pki';
import { firstRing, lacksEncryption } from '@swarmd/planner';
import type { ReadView } from '@swarmd/store';

/** With what is first to be encrypted: nodes are never told of one without the other. */
export function withKeys(cluster: Cluster, now: number): Cluster {
  if (cluster.overlayKeys !== undefined) return cluster;
  const periodMs = cluster.spec.overlayKeyPeriodMs;
  const overlayKeys = firstRing({ secret: createOverlaySecret, now, periodMs });
  return { ...cluster, overlayKeys };
}

/** @throws SwarmError `failed-precondition`: a node that cannot would be cut off from all published ports. */
export function refuseMeshOfNodesThatCannot(view: ReadView): void {
  const lacking = [...view.list('node')].flatMap((node) => {
    // One that never was here has no packets either.
    const lacks = node.description === undefined ? undefined : lacksEncryption(node);
    return lacks === undefined ? [] : [`${node.description?.hostname ?? node.id} (${lacks})`];
  });
  if (lacking.length === 0) return;
  throw new SwarmError(
    'failed-precondition',
    `the mesh cannot be encrypted: these nodes could not take part: ${lacking.join(', ')}; ` +
      'give them a kernel with ESP and AES-GCM, or remove them from the cluster',
  );
}
