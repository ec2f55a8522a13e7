/**
 * Which of the nodes that pass comes first: fewest recent failures of the service (from five on),
 * then fewest tasks of the service, then fewest tasks. Swarm's order; node index breaks ties.
 */
import {
  rank,
  type Node,
  type NodeId,
  type Refusal,
  type Task,
  type TaskSpec,
} from '@swarmd/model';

import { NODE_FAILURES_MAX, NODE_FAILURES_WINDOW_MS } from '../limits.ts';
import { isWanted, sameSpec, statusTime } from '../task-view.ts';
import { countRefusals, refusal, type Demand } from './filters.ts';
import { Heap } from './heap.ts';
import type { Usage } from './usage.ts';

interface Candidate {
  readonly node: Node;
  readonly failures: number;
  ofService: number;
}

/** Places tasks of one service that ask for the same, one after the other. */
export class Ranking {
  readonly #usage: Usage;
  readonly #demand: Demand;
  readonly #candidates: Candidate[];
  readonly #heap: Heap<Candidate>;
  #byIndex: Map<number, Candidate> | undefined;

  constructor(options: {
    nodes: Iterable<Node>;
    usage: Usage;
    demand: Demand;
    /** All tasks of the service. */
    tasks: readonly Task[];
    now: number;
  }) {
    const { usage, demand, tasks, now } = options;
    this.#usage = usage;
    this.#demand = demand;
    const wanted = countByNode(tasks.filter((task) => isWanted(task)));
    const failed = countByNode(tasks.filter((task) => isRecentFailure(task, demand.spec, now)));
    this.#candidates = [...options.nodes].map((node) => {
      const failures = failed.get(node.id) ?? 0;
      return {
        node,
        failures: failures >= NODE_FAILURES_MAX ? failures : 0,
        ofService: wanted.get(node.id) ?? 0,
      };
    });
    const fit = this.#candidates.filter((one) => this.#refusal(one) === undefined);
    this.#heap = new Heap(
      fit,
      (a, b) =>
        (a.failures - b.failures ||
          a.ofService - b.ofService ||
          usage.of(a.node.id).tasks - usage.of(b.node.id).tasks ||
          a.node.index - b.node.index) < 0,
    );
  }

  /** The node with this number if it can take one more, else what it lacks. */
  pinned(index: number): Node | Refusal[] {
    const candidate = this.#numbered().get(index);
    if (candidate === undefined) return [];
    const lacks = this.#refusal(candidate);
    return lacks === undefined ? candidate.node : [{ filter: lacks, nodes: 1 }];
  }

  #numbered(): ReadonlyMap<number, Candidate> {
    this.#byIndex ??= new Map(this.#candidates.map((one) => [one.node.index, one]));
    return this.#byIndex;
  }

  /** The best node that can take one more, or undefined. */
  best(): Node | undefined {
    for (;;) {
      const top = this.#heap.peek();
      if (top === undefined || this.#refusal(top) === undefined) return top?.node;
      this.#heap.dropTop();
    }
  }

  /** A task was placed on the node that `best` named, and is counted in the usage already. */
  took(): void {
    const top = this.#heap.peek();
    if (top === undefined) return;
    top.ofService += 1;
    this.#heap.settleTop();
  }

  /** What each of the nodes lacks, counted: why none can take one. */
  refusals(): Refusal[] {
    return countRefusals(
      this.#candidates
        .map((candidate) => this.#refusal(candidate))
        .filter((lacks) => lacks !== undefined),
    );
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
    rank(state) > rank('running') &&
    (state === 'failed' || state === 'rejected') &&
    statusTime(task) > now - NODE_FAILURES_WINDOW_MS &&
    sameSpec(task.spec, spec)
  );
}
