/** Leader only: takes managers out of Raft. */
import { errorCode, SwarmError } from '@swarmd/base';
import type { Node, NodeId } from '@swarmd/model';
import type { Raft, RaftMember } from '@swarmd/raft';
import type { Store } from '@swarmd/store';

import { checkRemoval } from './quorum.ts';

export interface DismissOptions {
  readonly raft: Raft;
  readonly store: Store;
}

/**
 * Whether the node may stop being a manager now. A leader that is to go has handed leadership over
 * when this throws `unavailable`, and its successor is to be asked again.
 * @throws SwarmError `failed-precondition` when no quorum would stay; `unavailable`
 */
export async function prepareDismissal(
  { raft }: Pick<DismissOptions, 'raft'>,
  nodeId: NodeId,
  signal: AbortSignal,
): Promise<RaftMember | undefined> {
  const status = raft.status();
  const member = status.members.find((candidate) => candidate.nodeId === nodeId);
  if (member === undefined) return undefined;
  checkRemoval(status, member);
  if (member.raftId !== status.raftId) return member;
  // It cannot remove itself and go on leading: the next leader does it when the call is repeated.
  await raft.transferLeadership(undefined, signal);
  throw new SwarmError('unavailable', 'this manager has handed leadership over to leave');
}

/**
 * Takes a node out of Raft, if the quorum stays; it is a worker from then on.
 * @throws SwarmError as `prepareDismissal`.
 */
export async function dismissManager(
  options: DismissOptions,
  nodeId: NodeId,
  signal: AbortSignal,
): Promise<void> {
  const { raft, store } = options;
  const member = await prepareDismissal(options, nodeId, signal);
  if (member !== undefined) {
    await remove(raft, member, signal);
  }
  await store.update((tx) => {
    const node = tx.get('node', nodeId);
    if (node !== undefined) tx.put('node', asWorker(node));
  }, signal);
}

/** That another one has removed it meanwhile is as good. */
async function remove(raft: Raft, { raftId }: RaftMember, signal: AbortSignal): Promise<void> {
  try {
    await raft.changeMembership({ kind: 'remove', raftId }, signal);
  } catch (error) {
    if (errorCode(error) !== 'not-found') throw error;
  }
}

function asWorker(node: Node): Node {
  const { manager: _left, ...kept } = node;
  return { ...kept, spec: { ...node.spec, role: 'worker' } };
}
