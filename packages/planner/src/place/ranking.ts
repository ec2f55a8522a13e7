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
import type { PlanView } from '../types.ts';
import { countRefusals, refusal, wishesMet, type Demand } from './filters.ts';
import type { NodeUsage } from './held-index.ts';
import { LazyChoice } from './lazy-choice.ts';
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
  readonly view: Pick<PlanView, 'get' | 'list'>;
  readonly usage: Usage;
  readonly demand: Demand;
  /** All tasks of the service. */
  readonly tasks: readonly Task[];
  readonly now: number;
}

/** Places tasks of one service that ask for the same, one after the other. */
export class Ranking {
  readonly #view: RankingOptions['view'];
  readonly #usage: Usage;
  readonly #demand: Demand;
  /** Of the service, by node. */
  readonly #wanted: ReadonlyMap<NodeId, number>;
  readonly #failed: ReadonlyMap<NodeId, number>;
  readonly #candidates = new Map<NodeId, Candidate>();
  #tree: SpreadTree<Candidate> | undefined;
  #choice: SpreadTree<Candidate> | LazyChoice<Candidate> | undefined;
  #byIndex: Map<number, Candidate> | undefined;
  #best: Candidate | undefined;

  constructor({ view, usage, demand, tasks, now }: RankingOptions) {
    this.#view = view;
    this.#usage = usage;
    this.#demand = demand;
    this.#wanted = countByNode(tasks.filter((task) => isWanted(task)));
    this.#failed = countByNode(tasks.filter((task) => isRecentFailure(task, demand.spec, now)));
  }

  /** The node with this number if it can take one more, else what it lacks. */
  pinned(index: number): Node | Refusal[] {
    this.#byIndex ??= new Map(this.#all().map((one) => [one.node.index, one]));
    const candidate = this.#byIndex.get(index);
    if (candidate === undefined) return [];
    const lacks = this.#refusal(candidate);
    return lacks === undefined ? candidate.node : [{ filter: lacks, nodes: 1 }];
  }

  /** The best node that can take one more, or undefined. */
  best(): Node | undefined {
    this.#choice ??= this.#isPlain() ? this.#lazily() : (this.#tree ??= this.#grow());
    this.#best = this.#choice.best();
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
    this.#choice?.took();
  }

  /** What each of the nodes lacks, counted: why none can take one. */
  refusals(): Refusal[] {
    return countRefusals(
      this.#all()
        .map((candidate) => this.#refusal(candidate))
        .filter((lacks) => lacks !== undefined),
    );
  }

  /** Then most nodes come in the order of how many tasks they have. */
  #isPlain(): boolean {
    const { preferences, strategy } = this.#demand.spec.placement;
    const { affinities } = this.#demand;
    return strategy !== 'binpack' && preferences.length === 0 && affinities.length === 0;
  }

  #lazily(): LazyChoice<Candidate> {
    const ids = new Set([...this.#usage.changed, ...this.#wanted.keys(), ...this.#failed.keys()]);
    return new LazyChoice({
      few: [...ids].map((id) => this.#candidateOf(id)).filter((one) => one !== undefined),
      others: this.#others(ids),
      less: this.#less(emptiest),
      fits: (candidate) => this.#refusal(candidate) === undefined,
    });
  }

  *#others(few: ReadonlySet<NodeId>): Generator<Candidate> {
    const ids = this.#usage.inOrder();
    for (let next = ids.next(); next.done !== true; next = ids.next()) {
      const candidate = few.has(next.value) ? undefined : this.#candidateOf(next.value);
      if (candidate !== undefined) yield candidate;
    }
  }

  #grow(): SpreadTree<Candidate> {
    const { preferences, strategy } = this.#demand.spec.placement;
    return new SpreadTree(this.#all(), {
      keysOf: preferences.map(
        ({ spread }) =>
          ({ node }) =>
            nodeAttribute(node, spread) ?? '',
      ),
      countOf: ({ ofService }) => ofService,
      fits: (candidate) => this.#refusal(candidate) === undefined,
      less: this.#less(strategy === 'binpack' ? fullest : emptiest),
    });
  }

  #less(compare: (a: Candidate, b: Candidate) => number): (a: Candidate, b: Candidate) => boolean {
    return (a, b) =>
      (a.failures - b.failures ||
        b.wishes - a.wishes ||
        compare(a, b) ||
        a.node.index - b.node.index) < 0;
  }

  #all(): Candidate[] {
    return [...this.#view.list('node')].map((node) => this.#candidate(node));
  }

  #candidateOf(id: NodeId): Candidate | undefined {
    const node = this.#view.get('node', id);
    return node === undefined ? undefined : this.#candidate(node);
  }

  /** The same as before for a node that was looked at: it knows what was placed there. */
  #candidate(node: Node): Candidate {
    const known = this.#candidates.get(node.id);
    if (known !== undefined) return known;
    const failures = this.#failed.get(node.id) ?? 0;
    const held = this.#usage.of(node.id);
    const candidate: Candidate = {
      node,
      failures: failures >= NODE_FAILURES_MAX ? failures : 0,
      wishes: this.#demand.affinities.length === 0 ? 0 : wishesMet(held, this.#demand),
      ofService: this.#wanted.get(node.id) ?? 0,
      tasks: held.tasks,
      fullness: fullnessOf(node, held),
    };
    this.#candidates.set(node.id, candidate);
    return candidate;
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
