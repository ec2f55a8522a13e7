/**
 * Which nodes are alive, decided from leases (pure). A lease is extended by every report of a
 * manager that hears the node; a node whose lease ran out is DOWN. Leases are not replicated: a new
 * leader gives every ready node a fresh one, so that a change of leader disturbs nobody. A node
 * whose manager is lost with it gets time to find another manager, once.
 */
import type { ClusterSpec, Node, NodeId } from '@swarmd/model';

import { countedLoss } from './flaps.ts';

interface Lease {
  readonly untilMs: number;
  /** The manager that reported it last; undefined for first leases. */
  readonly reporter: NodeId | undefined;
}

/** Times are monotonic milliseconds unless said otherwise. */
export interface LeaseTerms {
  readonly nowMs: number;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** For ready nodes that have no lease yet, and for those whose manager is lost. */
  readonly graceMs: number;
  /** The same for ready nodes that have no lease yet, when it is longer. */
  readonly firstGraceMs?: number;
  readonly isLost: (manager: NodeId) => boolean;
}

export class Leases {
  readonly #leases = new Map<NodeId, Lease>();
  /** No lease runs out before this. */
  #quietUntilMs = Number.NEGATIVE_INFINITY;

  extend(id: NodeId, untilMs: number, reporter?: NodeId): void {
    const known = this.#leases.get(id);
    this.#leases.set(id, { untilMs: Math.max(untilMs, known?.untilMs ?? 0), reporter });
    if (known === undefined) this.#quietUntilMs = Math.min(this.#quietUntilMs, untilMs);
  }

  /** It is back: what it was given for its absence counts no more. */
  reset(id: NodeId, untilMs: number, reporter: NodeId): void {
    this.#leases.set(id, { untilMs, reporter });
    this.#quietUntilMs = Math.min(this.#quietUntilMs, untilMs);
  }

  /** False as long as `expired` would find nothing, if the nodes are those it was asked about last. */
  mayExpire(nowMs: number): boolean {
    return nowMs >= this.#quietUntilMs;
  }

  isLive(id: NodeId, nowMs: number): boolean {
    return (this.#leases.get(id)?.untilMs ?? 0) > nowMs;
  }

  /** After the leader itself stood still: nobody could report meanwhile. */
  extendAll(byMs: number): void {
    for (const [id, lease] of this.#leases) {
      this.#leases.set(id, { ...lease, untilMs: lease.untilMs + byMs });
    }
  }

  /** Ready nodes whose lease ran out. */
  expired(nodes: Iterable<Node>, terms: LeaseTerms): Node[] {
    const { nowMs, now, graceMs, firstGraceMs = graceMs, isLost } = terms;
    const down: Node[] = [];
    let soonest = Number.POSITIVE_INFINITY;
    for (const node of nodes) {
      if (node.status.state !== 'ready') continue;
      const lease = this.#leases.get(node.id);
      if (lease === undefined) {
        const awayMs = (node.status.awayUntil ?? 0) - now;
        this.extend(node.id, nowMs + Math.max(firstGraceMs, awayMs));
      } else if (lease.untilMs <= nowMs) {
        const orphan = lease.reporter !== undefined && isLost(lease.reporter);
        if (orphan) this.extend(node.id, nowMs + graceMs);
        else down.push(node);
      }
      soonest = Math.min(soonest, this.#leases.get(node.id)?.untilMs ?? nowMs);
    }
    this.#quietUntilMs = soonest;
    return down;
  }
}

/** The node as it is once its lease ran out. */
export function downNode(
  node: Node,
  options: { now: number; silentMs: number; terms: ClusterSpec },
): Node {
  const { awayUntil, heldUntil: _held, ...status } = node.status;
  const message =
    awayUntil === undefined
      ? `no manager heard of it for ${options.silentMs} ms`
      : 'it said that it would restart, and did not come back in time';
  const { now, terms } = options;
  const flaps = countedLoss(node.status, now, terms);
  return { ...node, status: { ...status, ...flaps, state: 'down', message, since: now } };
}

/** The node while it restarts on purpose: ready, until then. */
export function awayNode(node: Node, { now, graceMs }: { now: number; graceMs: number }): Node {
  const message = `its daemon restarts; its tasks are replaced unless it is back within ${graceMs} ms`;
  return {
    ...node,
    status: {
      ...node.status,
      message,
      awayUntil: now + graceMs,
    },
  };
}
