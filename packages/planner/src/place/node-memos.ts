/**
 * What is known of the nodes for placements of one kind, kept from plan to plan: the ones used last. All of
 * it follows the nodes that changed, and answers as if it were made anew.
 */
import type { NodeId, ServiceId, TaskSpec } from '@swarmd/model';

import {
  BRANCHES_KEPT_MAX,
  HOSTS_KEPT_MAX,
  STANDINGS_KEPT_MAX,
  SUITABLES_KEPT_MAX,
} from '../limits.ts';
import type { PlanView } from '../types.ts';
import type { Demand } from './filters.ts';
import { noUsage, type NodeNews, type NodeUsage } from './node-usage.ts';
import { branchesKey, NodeBranches, type Branch } from './node-branches.ts';
import { Standing } from './standing.ts';
import { SuitableNodes } from './suitable-nodes.ts';

interface Index {
  readonly news: NodeNews;
  readonly nodes: ReadonlyMap<NodeId, NodeUsage>;
}

export class NodeMemos {
  readonly #index: Index;
  readonly #branches = new Recent<NodeBranches>(BRANCHES_KEPT_MAX);
  readonly #hosts = new Recent<Hosts>(HOSTS_KEPT_MAX);
  readonly #standings = new Recent<Standing>(STANDINGS_KEPT_MAX);
  readonly #suitable = new Recent<SuitableNodes>(SUITABLES_KEPT_MAX);
  readonly #specNumbers = new WeakMap<TaskSpec, number>();
  #specs = 0;

  constructor(index: Index) {
    this.#index = index;
  }

  branches(view: PlanView, placement: TaskSpec['placement']): Iterable<Branch> {
    const key = branchesKey(placement);
    const kept = this.#branches.get(key) ?? this.#branches.put(key, new NodeBranches(placement));
    kept.follow(view, this.#index.news, this.#usageOf);
    return kept.all();
  }

  /** Nodes with wanted tasks of the service of this name. */
  hostsOf(serviceName: string): ReadonlySet<NodeId> {
    const kept = this.#hosts.get(serviceName) ?? this.#hosts.put(serviceName, new Hosts());
    return kept.follow(serviceName, this.#index);
  }

  /** Numbers of the nodes that are open to new tasks of the spec, ascending; as long as nothing changes. */
  suitable(view: PlanView, spec: TaskSpec): readonly number[] {
    const key = JSON.stringify(spec.placement.constraints);
    const kept = this.#suitable.get(key) ?? this.#suitable.put(key, new SuitableNodes(spec));
    return kept.follow(view, this.#index.news);
  }

  /** What nodes said to tasks of the service that ask for this; not up to date yet. */
  standing(serviceId: ServiceId, demand: Demand): Standing | undefined {
    const key = this.#standingKey(serviceId, demand);
    const kept = this.#standings.get(key);
    return kept?.isFor(demand) === true ? kept : undefined;
  }

  newStanding(serviceId: ServiceId, demand: Demand): Standing {
    return this.#standings.put(this.#standingKey(serviceId, demand), new Standing(demand));
  }

  /** Spares the next plan what has happened so far. */
  follow(view: PlanView): void {
    for (const one of this.#branches.values()) {
      one.follow(view, this.#index.news, this.#usageOf);
    }
  }

  readonly #usageOf = (id: NodeId): NodeUsage => this.#index.nodes.get(id) ?? NOTHING;

  /** Specs are immutable, and kept once for all tasks that have them. */
  #standingKey(serviceId: ServiceId, { spec }: Demand): string {
    let number = this.#specNumbers.get(spec);
    if (number === undefined) this.#specNumbers.set(spec, (number = this.#specs += 1));
    return `${serviceId} ${number}`;
  }
}

const NOTHING = noUsage();

class Hosts {
  readonly #nodes = new Set<NodeId>();
  #mark: number | undefined;

  follow(serviceName: string, { news, nodes }: Index): ReadonlySet<NodeId> {
    const { mark, ids } = news.since(this.#mark);
    this.#mark = mark;
    if (ids === undefined) this.#nodes.clear();
    for (const id of ids ?? nodes.keys()) {
      if (nodes.get(id)?.services.has(serviceName) === true) this.#nodes.add(id);
      else this.#nodes.delete(id);
    }
    return this.#nodes;
  }
}

/** A few of many, those that were asked for last. */
class Recent<V> {
  readonly #max: number;
  readonly #values = new Map<string, V>();

  constructor(max: number) {
    this.#max = max;
  }

  get(key: string): V | undefined {
    const value = this.#values.get(key);
    if (value !== undefined) this.put(key, value);
    return value;
  }

  put(key: string, value: V): V {
    this.#values.delete(key);
    this.#values.set(key, value);
    for (const oldest of this.#values.keys()) {
      if (this.#values.size <= this.#max) break;
      this.#values.delete(oldest);
    }
    return value;
  }

  values(): Iterable<V> {
    return this.#values.values();
  }
}
