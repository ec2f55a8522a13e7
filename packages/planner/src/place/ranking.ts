/**
 * Which of the nodes that pass comes first. Spread (Swarm's): fewest recent failures of the service
 * (from five on), then fewest tasks of the service, then fewest tasks. Binpack: fewest failures, then
 * the fullest. Wishes for company come before that; node index breaks ties.
 */
import {
  nodeAttribute,
  type Node,
  type NodeId,
  type Refusal,
  type Task,
  type TaskSpec,
} from '@swarmd/model';

import { NODE_FAILURES_MAX, NODE_FAILURES_WINDOW_MS } from '../limits.ts';
import { isWanted, sameSpec, statusTime } from '../task-view.ts';
import { countRefusals, refusal, wishesMet, type Demand } from './filters.ts';
import type { NodeUsage } from './held-index.ts';
import { SpreadTree } from './spread-tree.ts';
import type { Usage } from './usage.ts';

interface Candidate {
  readonly node: Node;
  readonly failures: number;
  readonly wishes: number;
  ofService: number;
  /** Kept here, as candidates are compared many times: tasks of any service, and how full the node is. */
  tasks: number;
  fullness: number;
}

export interface RankingOptions {
  readonly nodes: Iterable<Node>;
  readonly usage: Usage;
  readonly demand: Demand;
  /** All tasks of the service. */
  readonly tasks: readonly Task[];
  readonly now: number;
}

/** Places tasks of one service that ask for the same, one after the other. */
export class Ranking {
  readonly #usage: Usage;
  readonly #demand: Demand;
  readonly #candidates: Candidate[];
  #tree: SpreadTree<Candidate> | undefined;
  #byIndex: Map<number, Candidate> | undefined;
  #best: Candidate | undefined;

  constructor({ nodes, usage, demand, tasks, now }: RankingOptions) {
    this.#usage = usage;
    this.#demand = demand;
    const wanted = countByNode(tasks.filter((task) => isWanted(task)));
    const failed = countByNode(tasks.filter((task) => isRecentFailure(task, demand.spec, now)));
    this.#candidates = [...nodes].map((node) => {
      const failures = failed.get(node.id) ?? 0;
      const held = usage.of(node.id);
      return {
        node,
        failures: failures >= NODE_FAILURES_MAX ? failures : 0,
        wishes: demand.affinities.length === 0 ? 0 : wishesMet(held, demand),
        ofService: wanted.get(node.id) ?? 0,
        tasks: held.tasks,
        fullness: fullnessOf(node, held),
      };
    });
  }

  /** The node with this number if it can take one more, else what it lacks. */
  pinned(index: number): Node | Refusal[] {
    this.#byIndex ??= new Map(this.#candidates.map((one) => [one.node.index, one]));
    const candidate = this.#byIndex.get(index);
    if (candidate === undefined) return [];
    const lacks = this.#refusal(candidate);
    return lacks === undefined ? candidate.node : [{ filter: lacks, nodes: 1 }];
  }

  /** The best node that can take one more, or undefined. */
  best(): Node | undefined {
    this.#tree ??= this.#grow();
    this.#best = this.#tree.best();
    return this.#best?.node;
  }

  /** The best node of each branch of the spread preferences. */
  bestOfEachBranch(): Node[] {
    this.#tree ??= this.#grow();
    return this.#tree.bestOfEachLeaf().map(({ node }) => node);
  }

  /** A task was placed on the node that `best` named, and is counted in the usage already. */
  took(): void {
    if (this.#best === undefined) return;
    const { node } = this.#best;
    const held = this.#usage.of(node.id);
    this.#best.ofService += 1;
    this.#best.tasks = held.tasks;
    this.#best.fullness = fullnessOf(node, held);
    this.#tree?.took();
  }

  /** What each of the nodes lacks, counted: why none can take one. */
  refusals(): Refusal[] {
    return countRefusals(
      this.#candidates
        .map((candidate) => this.#refusal(candidate))
        .filter((lacks) => lacks !== undefined),
    );
  }

  #grow(): SpreadTree<Candidate> {
    const { preferences, strategy } = this.#demand.spec.placement;
    const compare = strategy === 'binpack' ? fullest : emptiest;
    return new SpreadTree(this.#candidates, {
      keysOf: preferences.map(
        ({ spread }) =>
          ({ node }) =>
            nodeAttribute(node, spread) ?? '',
      ),
      countOf: ({ ofService }) => ofService,
      fits: (candidate) => this.#refusal(candidate) === undefined,
      less: (a, b) =>
        (a.failures - b.failures ||
          b.wishes - a.wishes ||
          compare(a, b) ||
          a.node.index - b.node.index) < 0,
    });
  }

  #refusal({ node, ofService }: Candidate): string | undefined {
    return refusal({ node, usage: this.#usage, ofService }, this.#demand);
  }
}

function emptiest(a: Candidate, b: Candidate): number {
  return a.ofService - b.ofService || a.tasks - b.tasks;
}

function fullest(a: Candidate, b: Candidate): number {
  return b.fullness - a.fullness || b.tasks - a.tasks;
}

/** Reserved part of CPU and memory, 0 to 2. */
function fullnessOf(
  { description }: Node,
  held: Pick<NodeUsage, 'nanoCpus' | 'memoryBytes'>,
): number {
  const total = description?.resources;
  return held.nanoCpus / (total?.nanoCpus || 1) + held.memoryBytes / (total?.memoryBytes || 1);
}

function countByNode(tasks: readonly Task[]): Map<NodeId, number> {
  const counts = new Map<NodeId, number>();
  for (const { nodeId } of tasks) {
    if (nodeId !== undefined) counts.set(nodeId, (counts.get(nodeId) ?? 0) + 1);
  }
  return counts;
}

function isRecentFailure(task: Task, spec: TaskSpec, now: number): boolean {
  const { state } = task.status;
  return (
    (state === 'failed' || state === 'rejected') &&
    statusTime(task) > now - NODE_FAILURES_WINDOW_MS &&
    sameSpec(task.spec, spec)
  );
}
