/**
 * Nodes in the order in which most placements look at them, kept while nodes come, go and fill: a plan for
 * some tasks is not to look at every node of a large cluster.
 */
import type { NodeId } from '@swarmd/model';

import { Heap } from './heap.ts';

export interface Place {
  readonly nodeId: NodeId;
  readonly index: number;
  /** Wanted tasks of any service. */
  tasks: number;
  /** Reserved part of CPU and memory, 0 to 2. */
  fullness: number;
  /** Where it is in its heap. */
  at: number;
}

/** True when `a` comes first. Total: no two places are equal. */
export type IsBefore = (a: Place, b: Place) => boolean;

export const emptiestFirst: IsBefore = (a, b) =>
  a.tasks === b.tasks ? a.index < b.index : a.tasks < b.tasks;

export const fullestFirst: IsBefore = (a, b) =>
  (b.fullness - a.fullness || b.tasks - a.tasks || a.index - b.index) < 0;

export class NodeOrder {
  readonly #isBefore: IsBefore;
  readonly #heap: Place[] = [];

  constructor(isBefore: IsBefore) {
    this.#isBefore = isBefore;
  }

  get size(): number {
    return this.#heap.length;
  }

  add(place: Place): void {
    this.#set(this.#heap.length, place);
    this.#settle(place);
  }

  remove(place: Place): void {
    const last = this.#heap.pop();
    if (last === undefined || last === place) return;
    this.#set(place.at, last);
    this.#settle(last);
  }

  /** Changes what a place is ordered by. */
  change(place: Place, { tasks, fullness }: Pick<Place, 'tasks' | 'fullness'>): void {
    if (place.tasks === tasks && place.fullness === fullness) return;
    place.tasks = tasks;
    place.fullness = fullness;
    this.#settle(place);
  }

  /** Costs as much as is read of it. The order must stay as it is meanwhile. */
  *inOrder(): Generator<NodeId> {
    const heap = this.#heap;
    const less = (a: number, b: number): boolean =>
      this.#isBefore(heap[a] as Place, heap[b] as Place);
    const next = new Heap(heap.length > 0 ? [0] : [], less);
    for (let at = next.peek(); at !== undefined; at = next.peek()) {
      next.dropTop();
      for (const child of [2 * at + 1, 2 * at + 2]) if (child < heap.length) next.push(child);
      yield (heap[at] as Place).nodeId;
    }
  }

  #settle(place: Place): void {
    let { at } = place;
    while (at > 0 && this.#isBefore(place, this.#heap[(at - 1) >> 1] as Place)) {
      at = this.#swap(at, (at - 1) >> 1);
    }
    for (;;) {
      const [left, right] = [this.#heap[2 * at + 1], this.#heap[2 * at + 2]];
      if (left === undefined) return;
      const isRight = right !== undefined && this.#isBefore(right, left);
      if (!this.#isBefore(isRight ? right : left, place)) return;
      at = this.#swap(at, 2 * at + (isRight ? 2 : 1));
    }
  }

  /** @returns `b`, where what was at `a` is now. */
  #swap(a: number, b: number): number {
    const [first, second] = [this.#heap[a] as Place, this.#heap[b] as Place];
    this.#set(a, second);
    this.#set(b, first);
    return b;
  }

  #set(at: number, place: Place): void {
    this.#heap[at] = place;
    place.at = at;
  }
}
