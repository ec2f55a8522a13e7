/** Who a certificate says its owner is: CN = node, OU = role, O = cluster (as SwarmKit has it). */
import { X509Certificate } from 'node:crypto';

import { SwarmError } from '@swarmd/base';
import { asId, type ClusterId, type NodeId, type NodeRole } from '@swarmd/model';

export interface NodeIdentity {
  readonly nodeId: NodeId;
  readonly role: NodeRole;
  readonly clusterId: ClusterId;
}

export const ROLE_UNITS: Readonly<Record<NodeRole, string>> = {
  manager: 'swarm-manager',
  worker: 'swarm-worker',
};

/**
 * From the subject of a certificate that was already verified, as Node's TLS gives it. Undefined when
 * it is not exactly one node's, of one cluster, in one known role.
 */
export function identityFromSubject(subject: object): NodeIdentity | undefined {
  const { CN, OU, O } = subject as Record<string, unknown>;
  if (typeof CN !== 'string' || typeof O !== 'string' || CN === '' || O === '') return undefined;
  const role = OU === ROLE_UNITS.manager ? 'manager' : OU === ROLE_UNITS.worker ? 'worker' : '';
  if (role === '') return undefined;
  return { nodeId: asId('node', CN), role, clusterId: asId('cluster', O) };
}

/**
 * From a certificate in PEM (the first one of a chain). Does not verify it.
 * @throws SwarmError `invalid-argument` when it is no certificate of a node.
 */
export function identityFromCertificate(certificatePem: string): NodeIdentity {
  const subject = parse(certificatePem).toLegacyObject().subject;
  const identity = identityFromSubject(subject);
  if (identity === undefined) {
    throw new SwarmError('invalid-argument', 'the certificate names no node of a cluster');
  }
  return identity;
}

function parse(pem: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    throw new SwarmError('invalid-argument', 'not a certificate in PEM format', { cause });
  }
}
