/**
 * Candidates grouped by what their nodes have under one key after the other, e.g. by zone and within
 * a zone by rack. The branch with the fewest tasks of the service comes first at every level; nodes
 * that have nothing under a key are a branch of their own (Swarm's spread preferences). Without keys
 * it is one leaf.
 */
import type { LazyChoice } from './lazy-choice.ts';

/** A branch of the lowest level. */
export interface Leaf<C> {
  /** What its nodes have, one value for each level. */
  readonly values: readonly string[];
  /** Tasks of the service there. */
  readonly count: number;
  readonly choice: LazyChoice<C>;
}

interface Branch<C> {
  count: number;
  readonly children: Branch<C>[];
  /** At the lowest level. */
  readonly choice: LazyChoice<C> | undefined;
}

export class SpreadTree<C> {
  readonly #less: (a: C, b: C) => boolean;
  readonly #root: Branch<C>;
  /** Branches that lead to what `best` named last. */
  #path: readonly Branch<C>[] = [];

  /** `leaves` have as many values each. */
  constructor(leaves: readonly Leaf<C>[], less: (a: C, b: C) => boolean) {
    this.#less = less;
    this.#root = grow(leaves, 0);
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
      branch.choice === undefined ? branch.children.flatMap(leaves) : [branch.choice.best()];
    return leaves(this.#root).filter((candidate) => candidate !== undefined);
  }

  /** A task was placed where `best` said. */
  took(): void {
    for (const branch of this.#path) branch.count += 1;
    this.#path.at(-1)?.choice?.took();
  }

  #search(branch: Branch<C>): { candidate: C; path: readonly Branch<C>[] } | undefined {
    if (branch.choice !== undefined) {
      const candidate = branch.choice.best();
      return candidate === undefined ? undefined : { candidate, path: [branch] };
    }
    let best: { candidate: C; path: readonly Branch<C>[] } | undefined;
    let least = Infinity;
    for (const child of branch.children.toSorted((a, b) => a.count - b.count)) {
      if (best !== undefined && child.count > least) break;
      const found = this.#search(child);
      if (found === undefined) continue;
      // Of branches with as many tasks, the one with the best node.
      if (best === undefined || this.#less(found.candidate, best.candidate)) best = found;
      least = child.count;
    }
    return best === undefined ? undefined : { ...best, path: [branch, ...best.path] };
  }
}

function grow<C>(leaves: readonly Leaf<C>[], level: number): Branch<C> {
  const [first] = leaves;
  const count = leaves.reduce((sum, one) => sum + one.count, 0);
  if (first !== undefined && first.values.length === level) {
    return { count, children: [], choice: first.choice };
  }
  const groups = [...Map.groupBy(leaves, ({ values }) => values[level]).values()];
  return { count, choice: undefined, children: groups.map((one) => grow(one, level + 1)) };
}
