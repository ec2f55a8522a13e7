/**
 * swarm.v1.Ca: certificates for joiners (with a token) and renewals (over a connection with the old
 * certificate). Only the leader issues. A joiner's node object is written with its first certificate.
 */
import type { Ca, Call } from '@swarmd/api';
import { SwarmError, type Clock, type Ids } from '@swarmd/base';
import {
  asId,
  ipv4NetworksWithin,
  parseIpv4Network,
  type Cluster,
  type NodeId,
  type NodeRole,
} from '@swarmd/model';
import { roleOfToken, signNodeCertificate } from '@swarmd/pki';
import type { Raft, RaftStatus } from '@swarmd/raft';
import type { Store } from '@swarmd/store';

import { theCluster } from '../replication/the-cluster.ts';
import { invalid } from '../control/validate.ts';
import type { LeaderRoute } from '../leadership/leader-route.ts';
import { newNode } from './new-node.ts';

export interface CaOptions {
  readonly store: Store;
  readonly raft: Raft;
  readonly route: LeaderRoute;
  readonly clock: Clock;
  readonly ids: Ids;
}

type Issued = Awaited<ReturnType<Ca['issueCertificate']>>;

const CSR_MAX_CHARS = 16 * 1024;

export function createCa(options: CaOptions): Ca {
  const authority = new Authority(options);
  return {
    issueCertificate: async (request, call) => {
      if (request.csrPem === '' || request.csrPem.length > CSR_MAX_CHARS) {
        throw invalid(
          `a certificate request in PEM of at most ${CSR_MAX_CHARS} characters is needed`,
        );
      }
      let isFromElsewhere = false;
      const issued = await options.route.run<Issued>(call, {
        here: (_duties, signal) =>
          request.token === undefined || request.token === ''
            ? authority.renew(request.csrPem, callingNode(call), signal)
            : authority.admit(
                { csrPem: request.csrPem, token: request.token, networks: request.networks ?? [] },
                signal,
              ),
        there: (manager, forwarded) => {
          isFromElsewhere = true;
          return manager.ca.issueCertificate(request, forwarded);
        },
      });
      // Whoever has it shows it here next: by then the node is to be known here, too.
      if (isFromElsewhere) await options.route.readBarrier(call);
      return issued;
    },
  };
}

function callingNode(call: Call): NodeId {
  if (call.peer !== undefined) return call.peer.nodeId;
  throw new SwarmError(
    'unauthenticated',
    'a join token is needed for a first certificate; print it on a manager: swarmctl swarm join-token',
  );
}

interface Joiner {
  readonly csrPem: string;
  readonly token: string;
  /** What its machine has routes to. */
  readonly networks: readonly string[];
}

class Authority {
  readonly #options: CaOptions;

  constructor(options: CaOptions) {
    this.#options = options;
  }

  async admit({ csrPem, token, networks }: Joiner, signal: AbortSignal): Promise<Issued> {
    const { store, ids, clock } = this.#options;
    const role = admittedRole(theCluster(store.view), token);
    refuseTakenPools(theCluster(store.view), networks);
    const nodeId = asId('node', ids.next());
    // Signed first: a malformed request leaves no node behind.
    const issued = this.#issue(csrPem, { nodeId, role });
    await store.update((tx) => {
      // The token may have been rotated while this waited.
      admittedRole(theCluster(tx), token);
      tx.put('node', newNode(tx, { id: nodeId, role, now: clock.now() }));
    }, signal);
    return issued;
  }

  async renew(csrPem: string, nodeId: NodeId, signal: AbortSignal): Promise<Issued> {
    const { store, raft } = this.#options;
    const node = store.view.get('node', nodeId);
    if (node === undefined) {
      throw new SwarmError(
        'permission-denied',
        `node ${nodeId} was removed from the cluster; leave and join again with a token`,
      );
    }
    const { role } = node.spec;
    if (role === 'worker') refuseMember(raft.status(), nodeId);
    const issued = this.#issue(csrPem, { nodeId, role });
    if (node.role !== role) {
      await store.update((tx) => {
        const stored = tx.get('node', nodeId);
        if (stored === undefined) return;
        const everManager = stored.everManager === true || role === 'manager';
        tx.put('node', { ...stored, role, everManager });
      }, signal);
    }
    return issued;
  }

  #issue(csrPem: string, subject: { nodeId: NodeId; role: NodeRole }): Issued {
    const { id: clusterId, rootCa, spec } = theCluster(this.#options.store.view);
    const certificatePem = signNodeCertificate({
      ...subject,
      clusterId,
      csrPem,
      caCert: rootCa.certificatePem,
      caKey: rootCa.keyPem,
      expiryMs: spec.nodeCertificateExpiryMs,
      now: this.#options.clock.now(),
    });
    return { ...subject, clusterId, certificatePem, caPem: rootCa.certificatePem };
  }
}

/**
 * A manager that is to be a worker gets a worker's certificate once it is out of Raft: with the old
 * one it could not speak to the others until then.
 * @throws SwarmError `unavailable`
 */
function refuseMember({ members }: RaftStatus, nodeId: NodeId): void {
  if (members.every((member) => member.nodeId !== nodeId)) return;
  throw new SwarmError(
    'unavailable',
    `node ${nodeId} is still one of the managers; it gets a worker's certificate once it is not`,
  );
}

/** @throws SwarmError `permission-denied` */
function admittedRole(cluster: Cluster, token: string): NodeRole {
  const role = roleOfToken(token.trim(), cluster.rootCa.joinTokens);
  if (role !== undefined) return role;
  throw new SwarmError(
    'permission-denied',
    'this join token is not valid for this cluster: it was rotated, or belongs to another one; ' +
      'print the present one on a manager: swarmctl swarm join-token worker',
  );
}

/**
 * Pools stay as the cluster was made with them. What is around a pool is no conflict: the smaller network is
 * found first.
 * @throws SwarmError `failed-precondition`
 */
function refuseTakenPools({ spec }: Cluster, networks: readonly string[]): void {
  for (const [pool, flag] of [
    [spec.gatewayPool, '--gateway-pool'],
    [spec.ingressPool, '--ingress-pool'],
  ] as const) {
    const parsed = parseIpv4Network(pool);
    const [taken] = parsed === undefined ? [] : ipv4NetworksWithin(networks, parsed);
    if (taken === undefined) continue;
    throw new SwarmError(
      'failed-precondition',
      `this machine has a route to ${taken}, which lies in ${pool}, where the cluster's nodes and containers ` +
        'have their own addresses: published ports would not lead from here to them. Give the machine another ' +
        `network or take that route away, or make the cluster with another pool: swarmctl swarm init ${flag}`,
    );
  }
}
