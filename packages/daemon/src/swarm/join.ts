/** Becoming part of a cluster, and ceasing to be one of its managers. Nothing is written here. */
import { connect, createCaClient, createMembershipClient } from '@swarmd/api';
import { errorCode, errorMessage, SwarmError, type ErrorCode } from '@swarmd/base';
import { asId } from '@swarmd/model';
import { hostNetworks } from '@swarmd/network';
import { createKeyAndCsr, fetchRootCa, parseJoinToken } from '@swarmd/pki';

import { parseHostPort } from '../config/settings.ts';
import type { Identity } from '../identity/identity.ts';
import {
  DEFAULT_PORT,
  JOIN_CALL_MAX_MS,
  MEMBERSHIP_CALL_MAX_MS,
  RAFT_PORT_OFFSET,
} from '../limits.ts';
import { parseAddress, type Addresses } from './addresses.ts';

/**
 * A certificate from one of the managers at `remotes`, and for managers a place in Raft.
 * @throws SwarmError saying what each remote answered.
 */
export async function joinCluster(
  request: { token: string; remotes: readonly string[] },
  addresses: Addresses,
  signal: AbortSignal,
): Promise<Identity> {
  parseJoinToken(request.token);
  const remotes = request.remotes.map((remote) => {
    const { host, port } = parseHostPort(remote, { what: 'manager', defaultPort: DEFAULT_PORT });
    return `${host}:${port}`;
  });
  const identity = await firstOf(remotes, (remote) =>
    firstCertificate(remote, { token: request.token, addresses }, signal),
  );
  if (identity.membership.role === 'worker') return identity;
  return enterManagers(identity, remotes, signal);
}

/**
 * A place in Raft for a node that holds a manager's certificate, from one of the managers: that of its
 * membership if it is still there.
 */
export async function enterManagers(
  identity: Identity,
  managers: readonly string[],
  signal: AbortSignal,
): Promise<Identity> {
  const raftId = await firstOf(managers, (manager) => joinManagers(manager, identity, signal));
  return {
    ...identity,
    membership: { ...identity.membership, role: 'manager', raftId, joining: true },
  };
}

/** Takes this manager out of Raft, through any manager. */
export async function leaveManagers(
  identity: Identity,
  managers: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  await firstOf(managers, (manager) =>
    withMembership(manager, identity, (membership) =>
      membership.leave({}, { signal, timeoutMs: MEMBERSHIP_CALL_MAX_MS }),
    ),
  );
}

async function firstCertificate(
  remote: string,
  request: { token: string; addresses: Addresses },
  signal: AbortSignal,
): Promise<Identity> {
  const { token, addresses } = request;
  const caPem = await fetchRootCa({ address: remote, token, signal });
  const tls = { caPem };
  using channel = connect({ address: remote, tls: () => tls, serverRole: 'manager' });
  const { keyPem, csrPem } = createKeyAndCsr();
  const issued = await createCaClient(channel).issueCertificate(
    { csrPem, token, networks: hostNetworks() },
    { signal, timeoutMs: JOIN_CALL_MAX_MS },
  );
  return {
    credentials: { keyPem, certificatePem: issued.certificatePem, caPem: issued.caPem },
    membership: {
      nodeId: issued.nodeId,
      clusterId: asId('cluster', issued.clusterId),
      role: issued.role,
      ...addresses,
      managers: [remote],
    },
  };
}

async function joinManagers(
  remote: string,
  identity: Identity,
  signal: AbortSignal,
): Promise<number> {
  const { host, port } = parseAddress(identity.membership.advertise);
  const { raftId: given } = identity.membership;
  const place = {
    apiAddress: `${host}:${port}`,
    raftAddress: `${host}:${port + RAFT_PORT_OFFSET}`,
    ...(given === undefined ? {} : { raftId: given }),
  };
  const { raftId } = await withMembership(remote, identity, (membership) =>
    membership.join(place, { signal, timeoutMs: MEMBERSHIP_CALL_MAX_MS }),
  );
  return raftId;
}

async function withMembership<T>(
  address: string,
  identity: Identity,
  fn: (membership: ReturnType<typeof createMembershipClient>) => Promise<T>,
): Promise<T> {
  const { credentials, membership } = identity;
  using channel = connect({
    address,
    tls: () => credentials,
    serverRole: 'manager',
    clusterId: membership.clusterId,
  });
  return await fn(createMembershipClient(channel)); // The channel closes after it.
}

/** Codes after which another manager may answer differently. */
const TRY_ELSEWHERE: readonly ErrorCode[] = ['unavailable', 'deadline-exceeded'];

async function firstOf<T>(
  remotes: readonly string[],
  ask: (remote: string) => Promise<T>,
): Promise<T> {
  const answers: string[] = [];
  for (const remote of remotes) {
    try {
      return await ask(remote);
    } catch (error) {
      if (!TRY_ELSEWHERE.includes(errorCode(error))) throw error;
      answers.push(errorMessage(error));
    }
  }
  throw new SwarmError(
    remotes.length === 0 ? 'invalid-argument' : 'unavailable',
    answers.join('; ') || 'say at least one manager of the cluster, host:port',
  );
}
