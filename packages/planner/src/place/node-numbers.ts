/**
 * Which node has which number, and the lowest that none has: followed, as thousands of nodes are not to be
 * counted whenever one of them joins or a plan asks for one.
 */
import type { Node, NodeId } from '@swarmd/model';

import { Heap } from './heap.ts';

export class NodeNumbers {
  readonly #holders = new Map<number, NodeId>();
  /** Numbers below `#end` that were free at some time; each once. */
  readonly #gaps = new Heap<number>([], (a, b) => a < b);
  readonly #isGap = new Set<number>();
  /** No node has, or had, this number or a higher one. */
  #end = 1;

  /** `before` and `after`: the same node as it was followed last, and as it is; undefined: not there. */
  follow(before: Node | undefined, after: Node | undefined): void {
    if (before?.index === after?.index) return;
    if (before !== undefined) this.#leave(before);
    if (after !== undefined) this.#take(after);
  }

  holderOf(number: number): NodeId | undefined {
    return this.#holders.get(number);
  }

  /** From 1 on. */
  lowestFree(): number {
    for (let gap = this.#gaps.peek(); gap !== undefined; gap = this.#gaps.peek()) {
      if (!this.#holders.has(gap)) return gap;
      this.#gaps.dropTop();
      this.#isGap.delete(gap);
    }
    return this.#end;
  }

  #leave({ id, index }: Node): void {
    // It may have passed to a node that was followed first.
    if (this.#holders.get(index) !== id) return;
    this.#holders.delete(index);
    this.#noteGap(index);
  }

  #take({ id, index }: Node): void {
    this.#holders.set(index, id);
    for (; this.#end < index; this.#end += 1) this.#noteGap(this.#end);
    this.#end = Math.max(this.#end, index + 1);
  }

  #noteGap(number: number): void {
    if (this.#isGap.has(number)) return;
    this.#isGap.add(number);
    this.#gaps.push(number);
  }
}
