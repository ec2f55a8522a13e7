/**
 * Candidates grouped by what their nodes have under one key after the other, e.g. by zone and within
 * a zone by rack. The branch with the fewest tasks of the service comes first at every level; nodes
 * that have nothing under a key are a branch of their own (Swarm's spread preferences). Without keys
 * it is one heap.
 */
import { Heap } from './heap.ts';

export interface TreeOptions<C> {
  /** The branch a candidate belongs to, one for each level. */
  readonly keysOf: readonly ((candidate: C) => string)[];
  readonly less: (a: C, b: C) => boolean;
  /** Tasks of the service there. */
  readonly countOf: (candidate: C) => number;
  readonly fits: (candidate: C) => boolean;
}

interface Branch<C> {
  count: number;
  readonly children: Branch<C>[];
  /** At the lowest level. */
  readonly leaf: Heap<C> | undefined;
}

export class SpreadTree<C> {
  readonly #options: TreeOptions<C>;
  readonly #root: Branch<C>;
  /** Branches that lead to what `best` named last. */
  #path: readonly Branch<C>[] = [];

  constructor(candidates: readonly C[], options: TreeOptions<C>) {
    this.#options = options;
    this.#root = this.#grow(candidates, 0);
  }

  /** The candidate whose turn it is, among those that fit; they may have ceased to. */
  best(): C | undefined {
    const found = this.#search(this.#root);
    this.#path = found?.path ?? [];
    return found?.candidate;
  }

  /** The first candidate of every branch of the lowest level. */
  bestOfEachLeaf(): C[] {
    const leaves = (branch: Branch<C>): (C | undefined)[] =>
      branch.leaf === undefined ? branch.children.flatMap(leaves) : [this.#top(branch.leaf)];
    return leaves(this.#root).filter((candidate) => candidate !== undefined);
  }

  /** A task was placed where `best` said. */
  took(): void {
    for (const branch of this.#path) branch.count += 1;
    this.#path.at(-1)?.leaf?.settleTop();
  }

  #grow(candidates: readonly C[], level: number): Branch<C> {
    const { keysOf, countOf, less } = this.#options;
    const keyOf = keysOf[level];
    const count = candidates.reduce((sum, one) => sum + countOf(one), 0);
    if (keyOf === undefined) {
      // Whether a node fits is asked when its turn comes: most are never looked at.
      return { count, children: [], leaf: new Heap([...candidates], less) };
    }
    const groups = [...Map.groupBy(candidates, keyOf).values()];
    return { count, leaf: undefined, children: groups.map((one) => this.#grow(one, level + 1)) };
  }

  #search(branch: Branch<C>): { candidate: C; path: readonly Branch<C>[] } | undefined {
    if (branch.leaf !== undefined) {
      const candidate = this.#top(branch.leaf);
      return candidate === undefined ? undefined : { candidate, path: [branch] };
    }
    let best: { candidate: C; path: readonly Branch<C>[] } | undefined;
    let least = Infinity;
    for (const child of branch.children.toSorted((a, b) => a.count - b.count)) {
      if (best !== undefined && child.count > least) break;
      const found = this.#search(child);
      if (found === undefined) continue;
      // Of branches with as many tasks, the one with the best node.
      if (best === undefined || this.#options.less(found.candidate, best.candidate)) best = found;
      least = child.count;
    }
    return best === undefined ? undefined : { ...best, path: [branch, ...best.path] };
  }

  #top(heap: Heap<C>): C | undefined {
    for (;;) {
      const top = heap.peek();
      if (top === undefined || this.#options.fits(top)) return top;
      heap.dropTop();
    }
  }
}
