/**
 * Protection against nodes that come and go (pure). Each loss of a node counts, and counts half after
 * the decay time; a node that was lost more than once lately is held back when it returns: it gets no
 * new tasks for a time that doubles with each further loss. When more than a share of all nodes is lost
 * at about the same time, it is likelier that something common broke than that all died: the tasks of
 * those beyond the share are replaced one node after the other.
 */
import type { ClusterSpec, Node } from '@swarmd/model';

import { MASS_FAILURE_WINDOW_MS } from '../limits.ts';

type Status = Node['status'];
type Terms = Pick<
  ClusterSpec,
  | 'flapHoldMs'
  | 'flapHoldMaxMs'
  | 'flapDecayMs'
  | 'massFailureShare'
  | 'massFailureIntervalMs'
  | 'nodeDownAfterMs'
>;

/** Losses that count, by now: 1 for one just now, less for earlier ones. */
export function lossesOf({ flaps }: Pick<Status, 'flaps'>, now: number, terms: Terms): number {
  if (flaps === undefined) return 0;
  const age = Math.max(0, now - flaps.at);
  return flaps.losses * 2 ** -(age / Math.max(1, terms.flapDecayMs));
}

/** What the loss of a node now adds to its status. */
export function countedLoss(status: Status, now: number, terms: Terms): Pick<Status, 'flaps'> {
  return { flaps: { losses: lossesOf(status, now, terms) + 1, at: now } };
}

/** How a node that returns is received: the first loss is forgiven. */
export function heldBack(
  status: Status,
  now: number,
  terms: Terms,
): Pick<Status, 'message' | 'flaps' | 'heldUntil'> {
  const { flaps } = status;
  if (flaps === undefined) return { message: '' };
  const losses = lossesOf(status, now, terms);
  const beyond = Math.round(losses) - 2;
  if (beyond < 0 || terms.flapHoldMs === 0) return { message: '', flaps };
  const holdMs = Math.min(terms.flapHoldMaxMs, terms.flapHoldMs * 2 ** beyond);
  const message = `lost ${Math.round(losses)} times lately: it gets no new tasks for ${holdMs / 1_000} s after its return`;
  return { message, flaps, heldUntil: now + holdMs };
}

/** The node once its time is up. */
export function released(node: Node): Node {
  const { heldUntil: _over, ...status } = node.status;
  return { ...node, status: { ...status, message: '' } };
}

/**
 * For the nodes that go down now, in this order: from when on their tasks are replaced, where that is
 * not at once.
 */
export function replacementTimes(
  all: Iterable<Node>,
  down: readonly Node[],
  context: { now: number; terms: Terms },
): Map<Node['id'], { replaceFrom: number; message: string }> {
  const { now, terms } = context;
  const times = new Map<Node['id'], { replaceFrom: number; message: string }>();
  if (terms.massFailureIntervalMs === 0) return times;
  const since = now - MASS_FAILURE_WINDOW_MS - terms.nodeDownAfterMs;
  let alive = 0;
  let lost = 0;
  let last = now;
  for (const { status } of all) {
    if (status.state === 'ready') alive += 1;
    else if (status.state === 'down' && status.since >= since) {
      lost += 1;
      last = Math.max(last, status.replaceFrom ?? 0);
    }
  }
  // Those that go down now are still among the living.
  const total = alive + lost;
  const allowed = Math.max(1, Math.floor(total * terms.massFailureShare));
  for (const [at, { id }] of down.entries()) {
    const beyond = lost + at + 1 - allowed;
    if (beyond <= 0) continue;
    last += terms.massFailureIntervalMs;
    const message = `${lost + down.length} of ${total} nodes were lost at about the same time: its tasks are replaced ${last - now} ms later`;
    times.set(id, { replaceFrom: last, message });
  }
  return times;
}
