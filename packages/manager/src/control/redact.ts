/** What no API shows: the CA's key and the contents of secrets. */
import type { Change, Cluster, Secret } from '@swarmd/model';

const NOTHING = new Uint8Array();

export function redactCluster(cluster: Cluster): Cluster {
  return { ...cluster, rootCa: { ...cluster.rootCa, keyPem: '' } };
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
