/** The cluster's certificate authority: its root, and the certificates it signs for nodes. */
import { createPrivateKey, randomBytes, sign, X509Certificate, type KeyObject } from 'node:crypto';

import { SwarmError } from '@swarmd/base';
import type { NodeRole } from '@swarmd/model';

import * as der from './der.ts';
import {
  authorityKeyId,
  basicConstraints,
  distinguishedName,
  dnsNames,
  ECDSA_WITH_SHA256,
  keyUsage,
  serverAndClientUsage,
  subjectKeyId,
  type DistinguishedName,
} from './fields.ts';
import { ROLE_UNITS } from './identity.ts';
import { toPem } from './pem.ts';
import { keyToPem, newKeyPair, publicKeyOfCsr } from './request.ts';

/** Clocks of nodes may be behind the CA's by so much. */
export const BACKDATE_MS = 3_600_000;
const ROOT_EXPIRY_MS = 20 * 365 * 24 * 3_600_000;
const ROOT_NAME = 'swarm-ca';
/** RFC 5280 allows 20; 16 random bytes never meet again. */
const SERIAL_BYTES = 16;

export interface RootCa {
  readonly certificatePem: string;
  readonly keyPem: string;
}

/** A new self-signed root. `now`: milliseconds since the epoch. Valid for 20 years. */
export function createRootCa({ now }: { readonly now: number }): RootCa {
  const { privateKey, publicKey } = newKeyPair();
  const name = { CN: ROOT_NAME };
  const certificatePem = issue({
    issuer: name,
    subject: name,
    publicKey,
    signer: privateKey,
    notBefore: now - BACKDATE_MS,
    notAfter: now + ROOT_EXPIRY_MS,
    extensions: [basicConstraints({ ca: true }), keyUsage({ ca: true }), subjectKeyId(publicKey)],
  });
  return { certificatePem, keyPem: keyToPem(privateKey) };
}

/**
 * A certificate for a node: O = cluster, OU = swarm-manager or swarm-worker, CN = node; both also as
 * DNS names; for both ends of TLS; valid from an hour ago until `expiryMs` from `now`. All names are
 * the CA's choice: of the request only the key is used.
 * @throws SwarmError `invalid-argument` when the request is malformed or not signed by its own key.
 */
export function signNodeCertificate(options: {
  readonly caCert: string;
  readonly caKey: string;
  readonly csrPem: string;
  readonly nodeId: string;
  readonly clusterId: string;
  readonly role: NodeRole;
  readonly expiryMs: number;
  readonly now: number;
}): string {
  const { csrPem, nodeId, clusterId, role, now } = options;
  const publicKey = publicKeyOfCsr(csrPem);
  const { root, key } = load(options.caCert, options.caKey);
  const rootEnd = root.validToDate.getTime();
  return issue({
    issuer: { CN: ROOT_NAME },
    subject: { O: clusterId, OU: ROLE_UNITS[role], CN: nodeId },
    publicKey,
    signer: key,
    notBefore: now - BACKDATE_MS,
    notAfter: Math.min(now + options.expiryMs, rootEnd),
    extensions: [
      basicConstraints({ ca: false }),
      keyUsage({ ca: false }),
      serverAndClientUsage(),
      dnsNames([nodeId, ROLE_UNITS[role]]),
      subjectKeyId(publicKey),
      authorityKeyId(root.publicKey),
    ],
  });
}

function load(caCert: string, caKey: string): { root: X509Certificate; key: KeyObject } {
  try {
    const root = new X509Certificate(caCert);
    const key = createPrivateKey(caKey);
    if (root.checkPrivateKey(key)) return { root, key };
  } catch (cause) {
    throw new SwarmError('internal', 'the CA certificate or its key cannot be read', { cause });
  }
  throw new SwarmError('internal', 'the CA certificate and the CA key do not belong together');
}

function issue(options: {
  readonly issuer: DistinguishedName;
  readonly subject: DistinguishedName;
  readonly publicKey: KeyObject;
  readonly signer: KeyObject;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly extensions: readonly Buffer[];
}): string {
  const signed = der.sequence(
    der.context(0, der.integer(Buffer.from([2]))),
    der.integer(randomBytes(SERIAL_BYTES)),
    ECDSA_WITH_SHA256,
    distinguishedName(options.issuer),
    der.sequence(der.time(options.notBefore), der.time(options.notAfter)),
    distinguishedName(options.subject),
    options.publicKey.export({ type: 'spki', format: 'der' }),
    der.context(3, der.sequence(...options.extensions)),
  );
  const signature = der.bitString(sign('sha256', signed, options.signer));
  return toPem('CERTIFICATE', der.sequence(signed, ECDSA_WITH_SHA256, signature));
}
