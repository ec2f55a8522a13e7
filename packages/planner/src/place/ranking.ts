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
import { SpreadTree } from './spread-tree.ts';
import type { Usage } from './usage.ts';

interface Candidate {
  readonly node: Node;
  readonly failures: number;
  readonly wishes: number;
  ofService: number;
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
      return {
        node,
        failures: failures >= NODE_FAILURES_MAX ? failures : 0,
        wishes: demand.affinities.length === 0 ? 0 : wishesMet(usage.of(node.id), demand),
        ofService: wanted.get(node.id) ?? 0,
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
    this.#best.ofService += 1;
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
    const compare = strategy === 'binpack' ? this.#fullest : this.#emptiest;
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

  readonly #emptiest = (a: Candidate, b: Candidate): number =>
    a.ofService - b.ofService || this.#tasks(a) - this.#tasks(b);

  readonly #fullest = (a: Candidate, b: Candidate): number =>
    this.#fullness(b) - this.#fullness(a) || this.#tasks(b) - this.#tasks(a);

  #tasks({ node }: Candidate): number {
    return this.#usage.of(node.id).tasks;
  }

  /** Reserved part of CPU and memory, 0 to 2. */
  #fullness({ node }: Candidate): number {
    const { nanoCpus, memoryBytes } = this.#usage.of(node.id);
    const total = node.description?.resources;
    return nanoCpus / (total?.nanoCpus || 1) + memoryBytes / (total?.memoryBytes || 1);
  }

  #refusal({ node, ofService }: Candidate): string | undefined {
    return refusal({ node, usage: this.#usage, ofService }, this.#demand);
  }
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
