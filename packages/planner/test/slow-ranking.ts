/** Which node a task would get, by looking at every node and remembering nothing: what `Ranking` must answer. */
import { nodeAttribute, type Node, type NodeId, type Refusal, type Task } from '@swarmd/model';

import { demandOf, refusal, wishesMet } from '../src/place/filters.ts';
import { fullnessOf } from '../src/place/node-branches.ts';
import { Usage } from '../src/place/usage.ts';
import { isOver, isWanted, sameSpec, statusTime } from '../src/task-view.ts';
import type { PlanView } from '../src/types.ts';

interface Candidate {
  readonly node: Node;
  readonly ofService: number;
  readonly lacks: string | undefined;
  readonly rank: readonly number[];
}

/** `placed`: tasks of the service that the plan has placed so far. */
export class SlowRanking {
  readonly #task: Task;
  readonly #candidates: readonly Candidate[];

  constructor(view: PlanView, task: Task, options: { placed: readonly Task[]; now: number }) {
    this.#task = task;
    const fresh = withoutMemory(view);
    const usage = new Usage(
      fresh,
      options.placed.map((after) => ({ before: undefined, after })),
    );
    const demand = demandOf(fresh, task);
    const tasks = [...view.tasksByService(task.serviceId), ...options.placed];
    const countOn = (id: NodeId, counts: (one: Task) => boolean): number =>
      tasks.filter((one) => one.nodeId === id && counts(one)).length;
    const hasFailed = (one: Task): boolean =>
      ['failed', 'rejected'].includes(one.status.state) &&
      statusTime(one) > options.now - 300_000 &&
      sameSpec(one.spec, task.spec);
    this.#candidates = [...view.list('node')].map((node) => {
      const held = usage.of(node.id);
      const ofService = countOn(node.id, (one) => isWanted(one) && !isOver(one));
      const failures = countOn(node.id, hasFailed);
      const isBinpack = task.spec.placement.strategy === 'binpack';
      const filling = isBinpack ? [-fullnessOf(node, held), -held.tasks] : [ofService, held.tasks];
      const rank = [failures >= 5 ? failures : 0, -wishesMet(held, demand), ...filling, node.index];
      return { node, ofService, lacks: refusal({ node, usage, ofService }, demand), rank };
    });
  }

  best(): NodeId | undefined {
    return this.#bestOf(this.#candidates, 0)?.node.id;
  }

  bestOfEachBranch(): NodeId[] {
    const keys = this.#task.spec.placement.preferences;
    const branch = ({ node }: Candidate): string =>
      JSON.stringify(keys.map(({ spread }) => nodeAttribute(node, spread) ?? ''));
    return [...Map.groupBy(this.#candidates, branch).values()]
      .map((here) => this.#bestOf(here, keys.length))
      .filter((one) => one !== undefined)
      .map(({ node }) => node)
      .toSorted((a, b) => a.index - b.index)
      .map(({ id }) => id);
  }

  refusals(): Refusal[] {
    const lacking = this.#candidates.flatMap(({ lacks }) => lacks ?? []);
    return [...Map.groupBy(lacking, (lacks) => lacks)]
      .map(([filter, all]) => ({ filter, nodes: all.length }))
      .toSorted((a, b) => b.nodes - a.nodes || (a.filter < b.filter ? -1 : 1));
  }

  #bestOf(here: readonly Candidate[], level: number): Candidate | undefined {
    const key = this.#task.spec.placement.preferences[level]?.spread;
    if (key === undefined) {
      return here.filter(({ lacks }) => lacks === undefined).toSorted(byRank)[0];
    }
    return [...Map.groupBy(here, ({ node }) => nodeAttribute(node, key) ?? '').values()]
      .map((branch) => ({
        count: branch.reduce((sum, { ofService }) => sum + ofService, 0),
        best: this.#bestOf(branch, level + 1),
      }))
      .flatMap(({ count, best }) => (best === undefined ? [] : [{ count, best }]))
      .toSorted((a, b) => a.count - b.count || byRank(a.best, b.best))[0]?.best;
  }
}

function byRank(a: Candidate, b: Candidate): number {
  const at = a.rank.findIndex((value, index) => value !== b.rank[index]);
  return (a.rank[at] ?? 0) - (b.rank[at] ?? 0);
}

/** The same objects under another cluster object: what is kept by that is made anew. */
export function withoutMemory(view: PlanView): PlanView {
  const clusters = [...view.list('cluster')].map((one) => ({ ...one }));
  return {
    ...view,
    list: ((table: 'cluster') => (table === 'cluster' ? clusters : view.list(table))) as never,
  };
}
