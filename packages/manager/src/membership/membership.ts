/**
 * swarm.v1.Membership: managers joining and leaving Raft. A joiner becomes a learner here; the
 * promotion loop makes it a voter. Raft ids are random and never used again.
 */
import type { Call, Membership, RaftMemberInfo } from '@swarmd/api';
import { SwarmError, type Clock, type Random } from '@swarmd/base';
import type { ClusterId, NodeId } from '@swarmd/model';
import type { Raft, RaftMember } from '@swarmd/raft';
import type { Store } from '@swarmd/store';

import { invalid } from '../control/validate.ts';
import type { LeaderRoute } from '../leadership/leader-route.ts';
import { dismissManager } from './dismiss.ts';
import { memberInfo, raftStatusInfo } from './raft-status.ts';

/** Safe integers: Raft ids travel as 64-bit numbers but live in JavaScript. */
const RAFT_ID_BITS = 53;
const ADDRESS = /^(\[[0-9a-fA-F:]+\]|[^\s:]+):\d{1,5}$/;

export interface MembershipOptions {
  readonly store: Store;
  readonly raft: Raft;
  readonly route: LeaderRoute;
  readonly random: Random;
  readonly clock: Clock;
  readonly clusterId: ClusterId;
}

interface JoinRequest {
  readonly apiAddress: string;
  readonly raftAddress: string;
  readonly raftId?: number;
}

export function createMembership(options: MembershipOptions): Membership {
  const { raft, route } = options;
  return {
    join: (request, call) => {
      const nodeId = callingManager(call);
      checkAddress('apiAddress', request.apiAddress);
      checkAddress('raftAddress', request.raftAddress);
      return route.run(call, {
        here: (_duties, signal) => admit(options, { ...request, nodeId }, signal),
        there: (manager, forwarded) => manager.membership.join(request, forwarded),
      });
    },
    move: (request, call) => {
      const nodeId = callingManager(call);
      checkAddress('apiAddress', request.apiAddress);
      checkAddress('raftAddress', request.raftAddress);
      return route.run<void>(call, {
        here: (_duties, signal) => relocate(options, { ...request, nodeId }, signal),
        there: (manager, forwarded) => manager.membership.move(request, forwarded),
      });
    },
    leave: (request, call) => {
      const nodeId = callingManager(call);
      return route.run<void>(call, {
        here: (_duties, signal) => dismissManager(options, nodeId, signal),
        there: (manager, forwarded) => manager.membership.leave(request, forwarded),
      });
    },
    status: async (_request, { signal }) => raftStatusInfo(await raft.report(signal)),
  };
}

function callingManager(call: Call): NodeId {
  if (call.peer?.role === 'manager') return call.peer.nodeId;
  throw new SwarmError(
    'permission-denied',
    'only a node with a manager certificate can join or leave the managers; ' +
      'join the cluster with the manager token first',
  );
}

function checkAddress(field: string, address: string): void {
  if (!ADDRESS.test(address)) throw invalid(`${field} "${address}" is not host:port`);
}

/** Repeating a join that was interrupted gives the same answer; voters say which place is theirs. */
async function admit(
  options: MembershipOptions,
  joiner: JoinRequest & { nodeId: NodeId },
  signal: AbortSignal,
): Promise<{ raftId: number; clusterId: string; members: RaftMemberInfo[] }> {
  const { raft, store } = options;
  const node = store.view.get('node', joiner.nodeId);
  if (node === undefined) {
    throw new SwarmError('permission-denied', `node ${joiner.nodeId} is not in the cluster`);
  }
  if (node.spec.role !== 'manager') {
    throw new SwarmError(
      'permission-denied',
      `node ${joiner.nodeId} is to be a worker; make it a manager first: swarmctl node promote ${joiner.nodeId}`,
    );
  }
  const present = raft.status().members.find((member) => member.nodeId === joiner.nodeId);
  if (present?.role === 'voter' && present.raftId !== joiner.raftId) {
    throw new SwarmError(
      'failed-precondition',
      `node ${joiner.nodeId} is a manager already; start it with its existing state, ` +
        `or let it leave before it joins anew`,
    );
  }
  const raftId = present?.raftId ?? freshRaftId(options.random, raft.status().members);
  if (present === undefined) {
    const { nodeId, raftAddress: address } = joiner;
    const member: RaftMember = { raftId, nodeId, address, role: 'learner' };
    await raft.changeMembership({ kind: 'add-learner', member }, signal);
  } else if (present.address !== joiner.raftAddress) {
    const change = { kind: 'set-address', raftId, address: joiner.raftAddress } as const;
    await raft.changeMembership(change, signal);
  }
  await store.update((tx) => {
    const node = tx.get('node', joiner.nodeId);
    if (node === undefined) return;
    const { apiAddress, raftAddress } = joiner;
    tx.put('node', { ...node, manager: { raftId, apiAddress, raftAddress } });
  }, signal);
  return {
    raftId,
    clusterId: options.clusterId,
    members: raft.status().members.map(memberInfo),
  };
}

/** Leader only: a member is reached elsewhere. */
export async function relocate(
  { raft, store }: Pick<MembershipOptions, 'raft' | 'store'>,
  moved: JoinRequest & { nodeId: NodeId },
  signal: AbortSignal,
): Promise<void> {
  const { nodeId, apiAddress, raftAddress } = moved;
  const member = raft.status().members.find((candidate) => candidate.nodeId === nodeId);
  if (member === undefined) {
    throw new SwarmError('failed-precondition', `node ${nodeId} is not one of the managers`);
  }
  const { raftId } = member;
  if (member.address !== raftAddress) {
    await raft.changeMembership({ kind: 'set-address', raftId, address: raftAddress }, signal);
  }
  await store.update((tx) => {
    const node = tx.get('node', nodeId);
    if (node === undefined) return;
    tx.put('node', { ...node, manager: { raftId, apiAddress, raftAddress } });
  }, signal);
}

function freshRaftId(random: Random, members: readonly RaftMember[]): number {
  for (;;) {
    const raftId = 1 + Math.floor(random.next() * (2 ** RAFT_ID_BITS - 2));
    if (members.every((member) => member.raftId !== raftId)) return raftId;
  }
}
