/** Control of the cluster object: its spec and its join tokens. */
import type { Control } from '@swarmd/api';
import { SwarmError } from '@swarmd/base';
import { clusterSpec, type Cluster, type ClusterSpec } from '@swarmd/model';
import { createJoinToken } from '@swarmd/pki';

import { theCluster } from '../replication/the-cluster.ts';
import type { ControlContext } from './context.ts';
import { refuseMeshOfNodesThatCannot, withKeys } from './overlay-keys.ts';
import { redactCluster } from './redact.ts';
import { parseSpec } from './validate.ts';

/** Addresses in use come from these: they stay as the cluster was made with. */
const FIXED_FIELDS = [
  'overlayPool',
  'overlayPool6',
  'gatewayPool',
  'ingressPool',
  'vxlanPort',
] as const;

export function clusterControl(
  context: ControlContext,
): Pick<Control, 'getCluster' | 'updateCluster'> {
  return {
    getCluster: async (_request, call) => redactCluster(theCluster(await context.read(call))),
    updateCluster: async (request, call) => {
      const spec =
        request.spec === undefined ? undefined : parseSpec('cluster', clusterSpec, request.spec);
      const written = await context.writeObject(
        { call, table: 'cluster', forward: (leader, on) => leader.updateCluster(request, on) },
        (tx) => {
          const stored = theCluster(tx);
          if (stored.meta.version !== request.version) throw outOfDate(stored, request.version);
          if (spec !== undefined) refuseFixedFields(stored.spec, spec);
          const changed = withTokens({ ...stored, spec: spec ?? stored.spec }, request);
          const now = context.newMeta().createdAt;
          if (changed.spec.encryptMesh && !stored.spec.encryptMesh) refuseMeshOfNodesThatCannot(tx);
          const withMesh = changed.spec.encryptMesh ? withKeys(changed, now) : changed;
          const next = request.rotateOverlayKeys === true ? withKeysDue(withMesh, now) : withMesh;
          tx.put('cluster', next);
          return next;
        },
      );
      return redactCluster(written);
    },
  };
}

function outOfDate(stored: Cluster, version: number): SwarmError {
  return new SwarmError(
    'out-of-date',
    `the cluster object was changed meanwhile: version ${version} was read, ` +
      `${stored.meta.version} is stored; read it again and repeat the change`,
  );
}

function refuseFixedFields(stored: ClusterSpec, wanted: ClusterSpec): void {
  for (const field of FIXED_FIELDS) {
    if (stored[field] === wanted[field]) continue;
    throw new SwarmError(
      'unimplemented',
      `cluster: ${field} cannot be changed (from ${stored[field]} to ${wanted[field]}) ` +
        `once the cluster exists`,
    );
  }
}

/** New keys follow as soon as every node has the present ones. */
function withKeysDue(cluster: Cluster, now: number): Cluster {
  const { overlayKeys } = cluster;
  if (overlayKeys === undefined) {
    throw new SwarmError(
      'failed-precondition',
      'there are no keys to replace: this cluster never had anything to encrypt',
    );
  }
  return { ...cluster, overlayKeys: { ...overlayKeys, dueAt: Math.min(overlayKeys.dueAt, now) } };
}

function withTokens(
  cluster: Cluster,
  rotate: { rotateWorkerToken: boolean; rotateManagerToken: boolean },
): Cluster {
  const { certificatePem, joinTokens } = cluster.rootCa;
  const fresh = (): string => createJoinToken(certificatePem);
  return {
    ...cluster,
    rootCa: {
      ...cluster.rootCa,
      joinTokens: {
        worker: rotate.rotateWorkerToken ? fresh() : joinTokens.worker,
        manager: rotate.rotateManagerToken ? fresh() : joinTokens.manager,
      },
    },
  };
}
