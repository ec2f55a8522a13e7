/**
 * The nodes by how many wanted tasks they have, then by their number: what most placements begin with. It
 * lives on between plans, as a plan for some tasks is not to look at every node of a large cluster.
 */
import type { NodeId } from '@swarmd/model';

import type { PlanView } from '../types.ts';
import { Heap } from './heap.ts';

interface Place {
  readonly nodeId: NodeId;
  readonly index: number;
  tasks: number;
  /** Where it is in the heap. */
  at: number;
}

export class NodeOrder {
  #heap: Place[] = [];
  #places = new Map<NodeId, Place>();
  #nodeWrites: number | undefined;

  /** Takes over which nodes there are. `tasksOn` is asked only when others are there than before. */
  follow(view: PlanView, tasksOn: (nodeId: NodeId) => number): void {
    const writes = view.writesOf?.('node');
    if (writes !== undefined && writes === this.#nodeWrites) return;
    this.#nodeWrites = writes;
    const nodes = [...view.list('node')];
    const isSame =
      nodes.length === this.#heap.length &&
      nodes.every(({ id, index }) => this.#places.get(id)?.index === index);
    if (isSame) return;
    this.#heap = nodes
      .map(({ id: nodeId, index }) => ({ nodeId, index, tasks: tasksOn(nodeId), at: 0 }))
      .sort((a, b) => (isBefore(a, b) ? -1 : 1));
    for (const [at, place] of this.#heap.entries()) place.at = at;
    this.#places = new Map(this.#heap.map((place) => [place.nodeId, place]));
  }

  /** The node has so many wanted tasks now. */
  set(nodeId: NodeId, tasks: number): void {
    const place = this.#places.get(nodeId);
    if (place === undefined || place.tasks === tasks) return;
    const isMore = tasks > place.tasks;
    place.tasks = tasks;
    if (isMore) this.#sink(place);
    else this.#rise(place);
  }

  /** Costs as much as is read of it. The order must stay as it is meanwhile. */
  *inOrder(): Generator<NodeId> {
    const heap = this.#heap;
    const less = (a: number, b: number): boolean => isBefore(heap[a] as Place, heap[b] as Place);
    const next = new Heap(heap.length > 0 ? [0] : [], less);
    for (let at = next.peek(); at !== undefined; at = next.peek()) {
      next.dropTop();
      for (const child of [2 * at + 1, 2 * at + 2]) if (child < heap.length) next.push(child);
      yield (heap[at] as Place).nodeId;
    }
  }

  #rise(place: Place): void {
    for (;;) {
      const above = this.#heap[(place.at - 1) >> 1];
      if (above === undefined || !isBefore(place, above)) return;
      this.#swap(place, above);
    }
  }

  #sink(place: Place): void {
    for (;;) {
      const left = this.#heap[2 * place.at + 1];
      const right = this.#heap[2 * place.at + 2];
      if (left === undefined) return;
      const least = right !== undefined && isBefore(right, left) ? right : left;
      if (!isBefore(least, place)) return;
      this.#swap(place, least);
    }
  }

  #swap(a: Place, b: Place): void {
    [a.at, b.at] = [b.at, a.at];
    this.#heap[a.at] = a;
    this.#heap[b.at] = b;
  }
}

function isBefore(a: Place, b: Place): boolean {
  return a.tasks === b.tasks ? a.index < b.index : a.tasks < b.tasks;
}
