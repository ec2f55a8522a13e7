/** Leader only: takes managers out of Raft. */
import { errorCode, sleep, SwarmError, type Clock } from '@swarmd/base';
import type { Node, NodeId } from '@swarmd/model';
import type { Raft, RaftMember } from '@swarmd/raft';
import type { Store } from '@swarmd/store';

import { DISMISSAL_WAIT_MS, QUORUM_LOOK_MS, QUORUM_LOOK_PAUSE_MS } from '../limits.ts';
import { Wakeup } from '../wakeup.ts';
import { checkRemoval } from './quorum.ts';

export interface DismissOptions {
  readonly raft: Raft;
  readonly store: Store;
  readonly clock: Clock;
}

/**
 * Whether the node may stop being a manager now. A leader that is to go has handed leadership over
 * when this throws `unavailable`, and its successor is to be asked again.
 * @throws SwarmError `failed-precondition` when no quorum would stay; `unavailable`
 */
export async function prepareDismissal(
  { raft, clock }: Pick<DismissOptions, 'raft' | 'clock'>,
  nodeId: NodeId,
  signal: AbortSignal,
): Promise<RaftMember | undefined> {
  const member = await quorumStays({ raft, clock }, nodeId, signal);
  if (member?.raftId !== raft.status().raftId) return member;
  // It cannot remove itself and go on leading: the next leader does it when the call is repeated.
  await raft.transferLeadership(undefined, signal);
  throw new SwarmError('unavailable', 'this manager has handed leadership over to leave');
}

/** As `prepareDismissal`, and hands nothing over. @throws SwarmError `failed-precondition` */
export async function checkDismissal(
  options: Pick<DismissOptions, 'raft' | 'clock'>,
  nodeId: NodeId,
  signal: AbortSignal,
): Promise<void> {
  await quorumStays(options, nodeId, signal);
}

/**
 * Who answers is counted anew every election timeout (check-quorum): for a moment after that a voter
 * that is well looks silent, so a refusal must last to count.
 */
async function quorumStays(
  { raft, clock }: Pick<DismissOptions, 'raft' | 'clock'>,
  nodeId: NodeId,
  signal: AbortSignal,
): Promise<RaftMember | undefined> {
  const deadline = clock.monotonic() + QUORUM_LOOK_MS;
  for (;;) {
    const status = raft.status();
    const member = status.members.find((candidate) => candidate.nodeId === nodeId);
    if (member === undefined) return undefined;
    const refusal = checkRemoval(status, member);
    if (refusal === undefined) return member;
    if (clock.monotonic() >= deadline) throw refusal;
    await sleep(clock, QUORUM_LOOK_PAUSE_MS, signal);
  }
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
  const { store } = options;
  const member = await prepareDismissal(options, nodeId, signal);
  if (member !== undefined) {
    await remove(options, member, signal);
  }
  await store.update((tx) => {
    const node = tx.get('node', nodeId);
    if (node !== undefined) tx.put('node', asWorker(node));
  }, signal);
}

/**
 * Resolves when the node is out of Raft (`RoleLoop` does it), or when that takes so long that its
 * caller should be told how things are.
 */
export async function whenDismissed(
  { store, clock }: Pick<DismissOptions, 'store' | 'clock'>,
  nodeId: NodeId,
  signal: AbortSignal,
): Promise<void> {
  const wakeup = new Wakeup();
  const deadline = clock.monotonic() + DISMISSAL_WAIT_MS;
  using _commits = store.subscribe(() => wakeup.wake());
  while (store.view.get('node', nodeId)?.manager !== undefined) {
    const leftMs = deadline - clock.monotonic();
    if (leftMs <= 0) return;
    await wakeup.wait(signal, { clock, ms: leftMs });
  }
}

/** That another one has removed it meanwhile is as good. Raft judges by the same momentary picture. */
async function remove(
  { raft, clock }: DismissOptions,
  { raftId }: RaftMember,
  signal: AbortSignal,
): Promise<void> {
  const deadline = clock.monotonic() + QUORUM_LOOK_MS;
  for (;;) {
    try {
      await raft.changeMembership({ kind: 'remove', raftId }, signal);
      return;
    } catch (error) {
      const code = errorCode(error);
      if (code === 'not-found') return;
      if (code !== 'failed-precondition' || clock.monotonic() >= deadline) throw error;
    }
    await sleep(clock, QUORUM_LOOK_PAUSE_MS, signal);
  }
}

function asWorker(node: Node): Node {
  const { manager: _left, ...kept } = node;
  return { ...kept, spec: { ...node.spec, role: 'worker' } };
}
