/**
 * The nodes on which a global service may start a task: ready, active, and as its constraints ask. They follow
 * the nodes that changed: of thousands a service with constraints may have a task on ten.
 */
import type { Node, NodeId, TaskSpec } from '@swarmd/model';

import { lowerBound } from '../lower-bound.ts';
import { compliance } from '../task-view.ts';
import type { PlanView } from '../types.ts';
import type { NodeNews } from './node-usage.ts';

/** Is it open to new tasks of such a spec? Room is another matter. */
export function isOpenTo(spec: TaskSpec): (node: Node) => boolean {
  const complies = compliance(spec);
  return (node) =>
    node.status.state === 'ready' && node.spec.availability === 'active' && complies(node);
}

export class SuitableNodes {
  readonly #isOpen: (node: Node) => boolean;
  /** Ascending. */
  readonly #numbers: number[] = [];
  readonly #known = new Map<NodeId, number>();
  #mark: number | undefined;

  /** Of any spec with the same constraints. */
  constructor(spec: TaskSpec) {
    this.#isOpen = isOpenTo(spec);
  }

  /** @returns the numbers of the nodes, ascending; as long as nothing changes. */
  follow(view: PlanView, news: NodeNews): readonly number[] {
    const { mark, ids } = news.since(this.#mark);
    this.#mark = mark;
    if (ids === undefined) this.#readAll(view);
    else for (const id of new Set(ids)) this.#look(id, view.get('node', id));
    return this.#numbers;
  }

  #readAll(view: PlanView): void {
    this.#known.clear();
    for (const node of view.list('node')) {
      if (this.#isOpen(node)) this.#known.set(node.id, node.index);
    }
    const sorted = [...this.#known.values()].toSorted((a, b) => a - b);
    this.#numbers.splice(0, this.#numbers.length, ...sorted);
  }

  #look(id: NodeId, node: Node | undefined): void {
    const before = this.#known.get(id);
    const now = node !== undefined && this.#isOpen(node) ? node.index : undefined;
    if (before === now) return;
    if (before !== undefined) this.#numbers.splice(this.#placeOf(before), 1);
    if (now === undefined) this.#known.delete(id);
    else {
      this.#known.set(id, now);
      this.#numbers.splice(this.#placeOf(now), 0, now);
    }
  }

  /** Where a number is, or would be. */
  #placeOf(number: number): number {
    return lowerBound(this.#numbers, (known) => known < number);
  }
}
