/**
 * Mutual TLS between members. A peer is a manager of our cluster iff its certificate descends from
 * our roots, its organization is our cluster and its organizational unit `swarm-manager`; its common
 * name is its node id. Names and addresses in certificates are not looked at.
 */
import { createSecureContext, type PeerCertificate } from 'node:tls';

import {
  credentials,
  experimental,
  type ChannelCredentials,
  type ServerCredentials,
} from '@grpc/grpc-js';

import type { RaftTls } from '../types.ts';

const MANAGER_UNIT = 'swarm-manager';

export type PeerIdentity =
  | { readonly kind: 'manager'; readonly nodeId: string }
  | { readonly kind: 'refused'; readonly why: string };

export function peerIdentity(
  certificate: PeerCertificate | undefined,
  clusterId: string,
): PeerIdentity {
  const subject = certificate?.subject;
  if (subject === undefined) return { kind: 'refused', why: 'the peer has no certificate' };
  const { CN: nodeId, O: cluster, OU: units } = subject as Record<string, string | string[]>;
  if (![units].flat().includes(MANAGER_UNIT)) {
    return { kind: 'refused', why: `the peer's certificate is not for the role ${MANAGER_UNIT}` };
  }
  if (cluster !== clusterId) {
    return {
      kind: 'refused',
      why: `the peer's certificate is of another cluster than ${clusterId}`,
    };
  }
  if (typeof nodeId !== 'string') return { kind: 'refused', why: 'the peer has no node id' };
  return { kind: 'manager', nodeId };
}

/** For one connection to the member that should be `nodeId` (any manager when undefined). */
export function clientCredentials(
  tls: RaftTls,
  expected: { clusterId: string; nodeId: string | undefined },
): ChannelCredentials {
  const context = createSecureContext({
    ca: tls.caPem,
    cert: tls.certificatePem,
    key: tls.keyPem,
    minVersion: 'TLSv1.3',
  });
  return credentials.createFromSecureContext(context, {
    checkServerIdentity: (_host, certificate) => {
      const peer = peerIdentity(certificate, expected.clusterId);
      if (peer.kind === 'refused') return new Error(peer.why);
      if (expected.nodeId === undefined || expected.nodeId === peer.nodeId) return undefined;
      return new Error(`expected node ${expected.nodeId}, met ${peer.nodeId}`);
    },
  });
}

type CaListener = experimental.CaCertificateUpdateListener;
type IdentityListener = experimental.IdentityCertificateUpdateListener;

/** Server credentials whose certificates can be replaced; new connections see the new ones. */
export class ServerTls implements experimental.CertificateProvider {
  readonly #caListeners = new Set<CaListener>();
  readonly #identityListeners = new Set<IdentityListener>();
  #tls: RaftTls;

  constructor(tls: RaftTls) {
    this.#tls = tls;
  }

  credentials(): ServerCredentials {
    return experimental.createCertificateProviderServerCredentials(this, this, true);
  }

  replace(tls: RaftTls): void {
    this.#tls = tls;
    for (const listener of this.#caListeners) this.#tellCa(listener);
    for (const listener of this.#identityListeners) this.#tellIdentity(listener);
  }

  addCaCertificateListener(listener: CaListener): void {
    this.#caListeners.add(listener);
    // grpc-js registers here before it can hear the answer.
    queueMicrotask(() => this.#tellCa(listener));
  }

  removeCaCertificateListener(listener: CaListener): void {
    this.#caListeners.delete(listener);
  }

  addIdentityCertificateListener(listener: IdentityListener): void {
    this.#identityListeners.add(listener);
    queueMicrotask(() => this.#tellIdentity(listener));
  }

  removeIdentityCertificateListener(listener: IdentityListener): void {
    this.#identityListeners.delete(listener);
  }

  #tellCa(listener: CaListener): void {
    listener({ caCertificate: Buffer.from(this.#tls.caPem) });
  }

  #tellIdentity(listener: IdentityListener): void {
    const { certificatePem, keyPem } = this.#tls;
    listener({ certificate: Buffer.from(certificatePem), privateKey: Buffer.from(keyPem) });
  }
}
