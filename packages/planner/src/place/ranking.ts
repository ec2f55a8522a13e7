/**
 * Which of the nodes that pass comes first. Spread (Swarm's): fewest recent failures of the service
 * (from five on), then fewest tasks of the service, then fewest tasks. Binpack: fewest failures, then
 * the fullest. Wishes for company come before that; node index breaks ties.
 */
import {
  type Node,
  type NodeId,
  type Refusal,
  type ServiceId,
  type Task,
  type TaskSpec,
} from '@swarmd/model';

import { NODE_FAILURES_MAX, NODE_FAILURES_WINDOW_MS } from '../limits.ts';
import { isAtWork, sameSpec, statusTime } from '../task-view.ts';
import type { PlanView } from '../types.ts';
import { refusal, sortRefusals, wishesMet, type Demand } from './filters.ts';
import { LazyChoice } from './lazy-choice.ts';
import { branchOf, fullnessOf } from './node-branches.ts';
import type { NodeOrder } from './node-order.ts';
import { SpreadTree } from './spread-tree.ts';
import type { Standing } from './standing.ts';
import type { Inquirer, Usage } from './usage.ts';

interface Candidate {
  readonly node: Node;
  readonly failures: number;
  /** A service may wish for its own company. */
  wishes: number;
  ofService: number;
  /** Kept here, as candidates are compared many times: tasks of any service, and how full the node is. */
  tasks: number;
  fullness: number;
}

/** What a leaf of the tree is made from. */
interface Bough {
  readonly values: readonly string[];
  readonly few: Candidate[];
  /** All nodes of the branch; not given where the few are all that may fit. */
  readonly order?: NodeOrder;
}

export interface RankingOptions {
  readonly view: Pick<PlanView, 'get' | 'list'>;
  readonly usage: Usage;
  readonly demand: Demand;
  readonly serviceId: ServiceId;
  /** All tasks of the service. */
  readonly tasks: readonly Task[];
  readonly now: number;
}

/** Places tasks of one service that ask for the same, one after the other. */
export class Ranking {
  readonly #view: RankingOptions['view'];
  readonly #usage: Usage;
  readonly #demand: Demand;
  readonly #serviceId: ServiceId;
  /** Of the service, by node. */
  readonly #present: ReadonlyMap<NodeId, number>;
  readonly #failed: ReadonlyMap<NodeId, number>;
  readonly #candidates = new Map<NodeId, Candidate>();
  #standing: Standing | undefined;
  #tree: SpreadTree<Candidate> | undefined;
  #best: Candidate | undefined;

  constructor({ view, usage, demand, serviceId, tasks, now }: RankingOptions) {
    this.#view = view;
    this.#usage = usage;
    this.#demand = demand;
    this.#serviceId = serviceId;
    this.#present = countByNode(tasks.filter(isAtWork));
    this.#failed = countByNode(tasks.filter((task) => isRecentFailure(task, demand.spec, now)));
    this.#standing = usage.standing(this.#inquirer());
  }

  /** What the node lacks for one more; undefined: nothing. */
  refusal(node: Node): string | undefined {
    return this.#refusal(this.#candidate(node));
  }

  /** The best node that can take one more, or undefined. */
  best(): Node | undefined {
    this.#tree ??= this.#grow();
    this.#best = this.#tree.best();
    return this.#best?.node;
  }

  /** The best node of each branch of the spread preferences, by their numbers. */
  bestOfEachBranch(): Node[] {
    this.#tree ??= this.#grow();
    return this.#tree
      .bestOfEachLeaf()
      .map(({ node }) => node)
      .toSorted((a, b) => a.index - b.index);
  }

  /** A task was placed on the node that `best` named, and is counted in the usage already. */
  took(): void {
    if (this.#best === undefined) return;
    const { node } = this.#best;
    const held = this.#usage.of(node.id);
    this.#best.ofService += 1;
    this.#best.wishes = wishesMet(held, this.#demand);
    this.#best.tasks = held.tasks;
    this.#best.fullness = fullnessOf(node, held);
    this.#tree?.took();
  }

  /** What each of the nodes lacks, counted: why none can take one. It is kept, and only what changes asked again. */
  refusals(): Refusal[] {
    const standing = this.#inquire();
    const counts = standing.counts();
    for (const id of this.#usage.changed) {
      const before = standing.verdictOf(id);
      const candidate = this.#candidateOf(id);
      const now = candidate === undefined ? undefined : this.#refusal(candidate);
      if (before !== undefined) counts.set(before, (counts.get(before) ?? 0) - 1);
      if (now !== undefined) counts.set(now, (counts.get(now) ?? 0) + 1);
    }
    return sortRefusals(counts);
  }

  /** Nodes where less important tasks cannot make room, as far as that was found out: to be added to. */
  hopeless(): Set<NodeId> {
    return this.#inquire().hopeless;
  }

  #inquire(): Standing {
    return (this.#standing ??= this.#usage.newStanding(this.#inquirer()));
  }

  #inquirer(): Inquirer {
    const ask = (node: Node): string | undefined => {
      const ofService = this.#present.get(node.id) ?? 0;
      return refusal({ node, usage: this.#usage, ofService }, this.#demand);
    };
    return { serviceId: this.#serviceId, demand: this.#demand, ask };
  }

  #grow(): SpreadTree<Candidate> {
    const { placement } = this.#demand.spec;
    const { ids: few, areAll } = this.#fewNodes();
    const leaves = new Map<string, Bough>();
    for (const id of few) {
      const candidate = this.#candidateOf(id);
      if (candidate === undefined) continue;
      const values = branchOf(candidate.node, placement);
      const leaf = leaves.get(JSON.stringify(values));
      if (leaf === undefined) leaves.set(JSON.stringify(values), { values, few: [candidate] });
      else leaf.few.push(candidate);
    }
    for (const { values, order } of areAll ? [] : this.#usage.branches(placement)) {
      const key = JSON.stringify(values);
      leaves.set(key, { values, few: leaves.get(key)?.few ?? [], order });
    }
    const less = this.#less(placement.strategy === 'binpack' ? fullest : emptiest);
    const fits = (candidate: Candidate): boolean => this.#refusal(candidate) === undefined;
    return new SpreadTree(
      [...leaves.values()].map(({ values, few: own, order }) => ({
        values,
        count: own.reduce((sum, { ofService }) => sum + ofService, 0),
        choice: new LazyChoice({ few: own, others: this.#others(few, order), less, fits }),
      })),
      less,
    );
  }

  /** Nodes to which something sets them apart from where they stand in an order, or all that may fit. */
  #fewNodes(): { ids: ReadonlySet<NodeId>; areAll: boolean } {
    const ids = new Set([...this.#usage.changed, ...this.#present.keys(), ...this.#failed.keys()]);
    const { affinities } = this.#demand;
    for (const { service } of affinities) {
      for (const id of this.#usage.hostsOf(service)) ids.add(id);
    }
    if (affinities.some(({ required, together }) => required && together)) {
      return { ids, areAll: true };
    }
    if (this.#standing === undefined) return { ids, areAll: false };
    return { ids: new Set([...ids, ...this.#standing.willing]), areAll: true };
  }

  /** Those of an order that are nothing special. */
  *#others(few: ReadonlySet<NodeId>, order: NodeOrder | undefined): Generator<Candidate> {
    for (const id of order?.inOrder() ?? []) {
      const candidate = few.has(id) ? undefined : this.#candidateOf(id);
      if (candidate !== undefined) yield candidate;
    }
  }

  #less(compare: (a: Candidate, b: Candidate) => number): (a: Candidate, b: Candidate) => boolean {
    return (a, b) =>
      (a.failures - b.failures ||
        b.wishes - a.wishes ||
        compare(a, b) ||
        a.node.index - b.node.index) < 0;
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
      wishes: wishesMet(held, this.#demand),
      ofService: this.#present.get(node.id) ?? 0,
      tasks: held.tasks,
      fullness: fullnessOf(node, held),
    };
    this.#candidates.set(node.id, candidate);
    return candidate;
  }

  #refusal({ node, ofService }: Candidate): string | undefined {
    if (this.#standing !== undefined && !this.#usage.isChanged(node.id)) {
      return this.#standing.verdictOf(node.id);
    }
    return refusal({ node, usage: this.#usage, ofService }, this.#demand);
  }
}

function emptiest(a: Candidate, b: Candidate): number {
  return a.ofService - b.ofService || a.tasks - b.tasks;
}

function fullest(a: Candidate, b: Candidate): number {
  return b.fullness - a.fullness || b.tasks - a.tasks;
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
