/**
 * What nodes add to a list, by the nodes' numbers. One that changes costs a copy of the list, which keeps its
 * identity, and each of its items theirs, while they are the same.
 */
import type { NodeId } from '@swarmd/model';

import { lowerBound } from '../lower-bound.ts';
import { sameSpec } from '../task-view.ts';

interface Indexed {
  readonly nodeId: NodeId;
  readonly index: number;
}

export class IndexedList<T extends Indexed> {
  readonly #byId = new Map<NodeId, T>();
  #items: readonly T[] = [];
  /** A copy that nobody else has seen yet. */
  #draft: T[] | undefined;

  /** Undefined: the node adds nothing. @returns what it added before, if that is another thing. */
  put(id: NodeId, item: T | undefined): { readonly before: T | undefined } | undefined {
    const before = this.#byId.get(id);
    if (sameSpec(before, item)) return undefined;
    const items = (this.#draft ??= [...this.#items]);
    if (before !== undefined) items.splice(items.indexOf(before, placeOf(items, before)), 1);
    if (item === undefined) this.#byId.delete(id);
    else {
      items.splice(placeOf(items, item), 0, item);
      this.#byId.set(id, item);
    }
    return { before };
  }

  list(): readonly T[] {
    if (this.#draft !== undefined) this.#items = this.#draft;
    this.#draft = undefined;
    return this.#items;
  }
}

/** The first place whose item has this number or a higher one: for a moment two nodes may have the same. */
function placeOf(items: readonly Indexed[], { index }: Indexed): number {
  return lowerBound(items, (item) => item.index < index);
}
