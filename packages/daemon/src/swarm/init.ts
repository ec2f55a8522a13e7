/** A new cluster: its root, its id, its first manager's certificate. Nothing is written yet. */
import type { Clock, Ids, Random } from '@swarmd/base';
import { asId } from '@swarmd/model';
import { createKeyAndCsr, createRootCa, signNodeCertificate, type RootCa } from '@swarmd/pki';

import type { Identity } from '../identity/identity.ts';
import type { Addresses } from './addresses.ts';

/** Swarm's 90 days; later certificates follow the cluster's spec. */
const FIRST_CERTIFICATE_MS = 90 * 24 * 3_600_000;
/** Raft ids are 53-bit numbers that are never used again; 0 means none. */
const RAFT_ID_MAX = 2 ** 53 - 2;

export interface NewCluster {
  readonly identity: Identity;
  readonly rootCa: RootCa;
}

export function newCluster(
  addresses: Addresses,
  deps: { clock: Clock; ids: Ids; random: Random },
): NewCluster {
  const clusterId = asId('cluster', deps.ids.next());
  const nodeId = asId('node', deps.ids.next());
  const now = deps.clock.now();
  const rootCa = createRootCa({ now });
  const { keyPem, csrPem } = createKeyAndCsr();
  const certificatePem = signNodeCertificate({
    caCert: rootCa.certificatePem,
    caKey: rootCa.keyPem,
    csrPem,
    nodeId,
    clusterId,
    role: 'manager',
    expiryMs: FIRST_CERTIFICATE_MS,
    now,
  });
  return {
    identity: {
      credentials: { keyPem, certificatePem, caPem: rootCa.certificatePem },
      membership: {
        nodeId,
        clusterId,
        role: 'manager',
        ...addresses,
        raftId: 1 + Math.floor(deps.random.next() * RAFT_ID_MAX),
        managers: [addresses.advertise],
      },
    },
    rootCa,
  };
}
