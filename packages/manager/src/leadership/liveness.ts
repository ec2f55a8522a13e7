/**
 * Which nodes are alive, decided from leases (pure). A lease is extended by every report of a
 * manager that hears the node; a node whose lease ran out is DOWN. Leases are not replicated: a new
 * leader gives every ready node a fresh one, so that a change of leader disturbs nobody.
 */
import type { Node, NodeId } from '@swarmd/model';

export class Leases {
  readonly #expiry = new Map<NodeId, number>();

  /** Times are monotonic milliseconds. */
  extend(id: NodeId, untilMs: number): void {
    this.#expiry.set(id, Math.max(untilMs, this.#expiry.get(id) ?? 0));
  }

  isLive(id: NodeId, nowMs: number): boolean {
    return (this.#expiry.get(id) ?? 0) > nowMs;
  }

  /** After the leader itself stood still: nobody could report meanwhile. */
  extendAll(byMs: number): void {
    for (const [id, expiry] of this.#expiry) this.#expiry.set(id, expiry + byMs);
  }

  /** Ready nodes whose lease ran out. One without a lease gets `firstLeaseMs` from now. */
  expired(nodes: Iterable<Node>, now: { monotonicMs: number; firstLeaseMs: number }): Node[] {
    const down: Node[] = [];
    for (const node of nodes) {
      if (node.status.state !== 'ready') continue;
      const expiry = this.#expiry.get(node.id);
      if (expiry === undefined) this.extend(node.id, now.monotonicMs + now.firstLeaseMs);
      else if (expiry <= now.monotonicMs) down.push(node);
    }
    return down;
  }
}

/** The node as it is once its lease ran out. */
export function downNode(node: Node, options: { now: number; silentMs: number }): Node {
  return {
    ...node,
    status: {
      ...node.status,
      state: 'down',
      message: `no manager heard of it for ${options.silentMs} ms`,
      since: options.now,
    },
  };
}
