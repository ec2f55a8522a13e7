/**
 * The nodes by what they have under the keys of spread preferences, each branch in its order. It lives on
 * between plans and follows the nodes that changed; one made anew answers the same.
 */
import { nodeAttribute, type Node, type NodeId, type TaskSpec } from '@swarmd/model';

import type { PlanView } from '../types.ts';
import type { NodeNews, NodeUsage } from './node-usage.ts';
import { emptiestFirst, fullestFirst, NodeOrder, type IsBefore, type Place } from './node-order.ts';

type Placement = Pick<TaskSpec['placement'], 'preferences' | 'strategy'>;

export interface Branch {
  /** What its nodes have, one value for each level. */
  readonly values: readonly string[];
  readonly order: NodeOrder;
}

interface BranchedPlace extends Place {
  readonly branch: Branch;
}

/** Two placements with the same one have the same branches and orders. */
export function branchesKey({ preferences, strategy }: Placement): string {
  return JSON.stringify([strategy === 'binpack', preferences.map(({ spread }) => spread)]);
}

/** What a node has under the keys; nothing under one is a value as well. */
export function branchOf(node: Node, { preferences }: Placement): string[] {
  return preferences.map(({ spread }) => nodeAttribute(node, spread) ?? '');
}

export class NodeBranches {
  readonly #placement: Placement;
  readonly #isBefore: IsBefore;
  readonly #branches = new Map<string, Branch>();
  readonly #places = new Map<NodeId, BranchedPlace>();
  #mark: number | undefined;

  constructor(placement: Placement) {
    this.#placement = placement;
    this.#isBefore = placement.strategy === 'binpack' ? fullestFirst : emptiestFirst;
  }

  follow(view: PlanView, news: NodeNews, usageOf: (id: NodeId) => NodeUsage): void {
    const { mark, ids } = news.since(this.#mark);
    this.#mark = mark;
    if (ids === undefined) {
      this.#branches.clear();
      this.#places.clear();
      for (const node of view.list('node')) this.#put(node, usageOf(node.id));
      return;
    }
    for (const id of ids) {
      const node = view.get('node', id);
      if (node === undefined) this.#drop(id);
      else this.#put(node, usageOf(id));
    }
  }

  all(): Iterable<Branch> {
    return this.#branches.values();
  }

  #put(node: Node, usage: NodeUsage): void {
    const key = branchOf(node, this.#placement);
    const now = { tasks: usage.tasks, fullness: fullnessOf(node, usage) };
    const known = this.#places.get(node.id);
    if (known?.index === node.index && isSame(known.branch.values, key)) {
      known.branch.order.change(known, now);
      return;
    }
    if (known !== undefined) this.#drop(node.id);
    const branch = this.#branch(key);
    const place = { nodeId: node.id, index: node.index, branch, at: 0, ...now };
    this.#places.set(node.id, place);
    branch.order.add(place);
  }

  #drop(id: NodeId): void {
    const place = this.#places.get(id);
    if (place === undefined) return;
    this.#places.delete(id);
    const { order, values } = place.branch;
    order.remove(place);
    if (order.size === 0) this.#branches.delete(JSON.stringify(values));
  }

  #branch(values: readonly string[]): Branch {
    const key = JSON.stringify(values);
    let branch = this.#branches.get(key);
    if (branch === undefined) {
      branch = { values, order: new NodeOrder(this.#isBefore) };
      this.#branches.set(key, branch);
    }
    return branch;
  }
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  return a.every((value, at) => value === b[at]);
}

/** Reserved part of CPU and memory, 0 to 2. */
export function fullnessOf(
  { description }: Node,
  held: Pick<NodeUsage, 'nanoCpus' | 'memoryBytes'>,
): number {
  const total = description?.resources;
  return held.nanoCpus / (total?.nanoCpus || 1) + held.memoryBytes / (total?.memoryBytes || 1);
}
