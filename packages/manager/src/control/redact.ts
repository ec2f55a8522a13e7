/** What no API shows: the CA's key, the contents of secrets, the keys of encrypted networks. */
import type { Change, Cluster, Secret } from '@swarmd/model';

const NOTHING = new Uint8Array();

export function redactCluster(cluster: Cluster): Cluster {
  const { rootCa, overlayKeys } = cluster;
  const keys = overlayKeys?.keys.map((key) => ({ ...key, secret: NOTHING }));
  return {
    ...cluster,
    rootCa: { ...rootCa, keyPem: '' },
    ...(overlayKeys === undefined || keys === undefined
      ? {}
      : { overlayKeys: { ...overlayKeys, keys } }),
  };
}

export function redactSecret(secret: Secret): Secret {
  return { ...secret, spec: { ...secret.spec, data: NOTHING } };
}

/** The same change as watchers may see it. */
export function redactChange(change: Change): Change {
  if (change.kind === 'delete') return change;
  if (change.table === 'cluster') return { ...change, object: redactCluster(change.object) };
  if (change.table === 'secret') return { ...change, object: redactSecret(change.object) };
  return change;
}
