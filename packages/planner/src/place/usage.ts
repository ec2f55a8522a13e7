/** What the tasks of the cluster hold, as an unfinished plan has it: the index and what changed. */
import {
  parseIpv4Network,
  type Network,
  type NetworkId,
  type Node,
  type NodeId,
  type Service,
  type ServiceId,
  type Task,
  type TaskSpec,
} from '@swarmd/model';

import { AddressPool } from '../allocate/address-pool.ts';
import { rangesOf, usable } from '../allocate/subnet.ts';
import { WILLING_NODES_MAX } from '../limits.ts';
import { isOver } from '../task-view.ts';
import type { PlanView } from '../types.ts';
import type { Demand } from './filters.ts';
import { heldIndex, type HeldIndex } from './held-index.ts';
import { countUsage, noUsage, overUsage, type NodeUsage } from './node-usage.ts';
import type { Branch } from './node-branches.ts';
import type { Standing } from './standing.ts';

/** A task before and after the changes of a plan; undefined: not there. */
export interface TaskChange {
  readonly before: Task | undefined;
  readonly after: Task | undefined;
}

/** Who asks nodes: tasks of a service that want the same. */
export interface Inquirer {
  readonly serviceId: ServiceId;
  readonly demand: Demand;
  /** What a node lacks that the plan does not change; undefined: nothing. */
  readonly ask: (node: Node) => string | undefined;
}

export class Usage {
  readonly #view: PlanView;
  readonly #index: HeldIndex;
  readonly #service: Service | undefined;
  /** Tasks, as they were, that the plan ends or deletes. */
  readonly #ended: readonly Task[];
  /** Tasks that the plan has placed already: the index does not know their addresses. */
  readonly #placed: readonly Task[];
  /** Nodes whose usage, or who else is there, may differ from the index. */
  readonly #nodes = new Map<NodeId, NodeUsage>();
  readonly #networks = new Map<NetworkId, AddressPool>();
  readonly #gateways = new Map<NodeId, AddressPool>();

  /** `service`: as the plan has it by now; a rollback may have given it other addresses. */
  constructor(view: PlanView, changes: readonly TaskChange[] = [], service?: Service) {
    this.#view = view;
    this.#service = service;
    this.#index = heldIndex(view);
    // What was over before holds nothing: its address may have passed to another task already.
    this.#ended = changes.flatMap(({ before, after }) => {
      const ends = before !== undefined && !isOver(before);
      return ends && (after === undefined || isOver(after)) ? [before] : [];
    });
    this.#placed = changes.flatMap(({ before, after }) =>
      before?.nodeId === undefined && after?.nodeId !== undefined ? [after] : [],
    );
    for (const { before, after } of changes) {
      if (before !== undefined) this.release(before);
      if (after !== undefined && !isOver(after)) this.#count(after, 1);
    }
  }

  of(node: NodeId): Readonly<NodeUsage> {
    return this.#nodes.get(node) ?? this.#index.nodes.get(node) ?? NOTHING;
  }

  /** Nodes where the plan has changed something: what follows knows nothing of it. */
  get changed(): Iterable<NodeId> {
    return this.#nodes.keys();
  }

  isChanged(id: NodeId): boolean {
    return this.#nodes.has(id);
  }

  /** All nodes by branches, each in the order that placements of this kind go by. */
  branches(placement: TaskSpec['placement']): Iterable<Branch> {
    return this.#index.memos.branches(this.#view, placement);
  }

  /** Nodes with wanted tasks of the service of this name. */
  hostsOf(serviceName: string): ReadonlySet<NodeId> {
    return this.#index.memos.hostsOf(serviceName);
  }

  /** What nodes said to such tasks of the service, if some found none lately and few would take one now. */
  standing(who: Inquirer): Standing | undefined {
    const { memos } = this.#index;
    const standing = memos.standing(who.serviceId, who.demand);
    if (standing === undefined) return undefined;
    const { willing } = this.#bringUpToDate(standing, who);
    return willing.size > WILLING_NODES_MAX ? undefined : standing;
  }

  /** Asks all nodes, and keeps what they say. */
  newStanding(who: Inquirer): Standing {
    const { memos } = this.#index;
    return this.#bringUpToDate(memos.newStanding(who.serviceId, who.demand), who);
  }

  #bringUpToDate(standing: Standing, { ask }: Inquirer): Standing {
    const isChanging = (id: NodeId): boolean => this.isChanged(id);
    standing.follow({ view: this.#view, news: this.#index.news, ask, isChanging });
    return standing;
  }

  /** Counts a task that has just been placed. */
  hold(task: Task): void {
    this.#count(task, 1);
  }

  /** Counts a task out, to see what would be if it were gone. */
  release(task: Task): void {
    if (!isOver(task)) this.#count(task, -1);
  }

  /** Addresses of a network, for tasks and virtual addresses. */
  network(network: Network): AddressPool {
    let pool = this.#networks.get(network.id);
    if (pool !== undefined) return pool;
    pool = new AddressPool(rangesOf(network), this.#index.networks.get(network.id));
    for (const address of [network.gateway, ...Object.values(network.spec.reserved)]) {
      pool.reserve(address);
    }
    for (const service of this.#view.list('service')) reserveVips(pool, service, network);
    if (this.#service !== undefined) reserveVips(pool, this.#service, network);
    for (const task of this.#ended) {
      const had = task.networks.find((one) => one.networkId === network.id)?.address;
      if (had !== undefined) pool.free(bare(had));
    }
    for (const task of this.#placed) {
      const has = task.networks.find((one) => one.networkId === network.id)?.address;
      if (has !== undefined) pool.reserve(bare(has));
    }
    this.#networks.set(network.id, pool);
    return pool;
  }

  /** Addresses of the node's own subnet: for containers' way out. The first one is the node's. */
  gateway(node: Node): AddressPool {
    let pool = this.#gateways.get(node.id);
    if (pool !== undefined) return pool;
    pool = new AddressPool([usable(node.gatewaySubnet, 2)], this.#index.gateways.get(node.id));
    for (const task of this.#ended) {
      if (task.nodeId === node.id && task.gatewayAddress !== undefined) {
        pool.free(task.gatewayAddress);
      }
    }
    for (const task of this.#placed) {
      if (task.nodeId === node.id && task.gatewayAddress !== undefined) {
        pool.reserve(task.gatewayAddress);
      }
    }
    this.#gateways.set(node.id, pool);
    return pool;
  }

  #count(task: Task, sign: 1 | -1): void {
    const nodeId = task.nodeId ?? task.nominated?.nodeId;
    if (nodeId === undefined) return;
    let usage = this.#nodes.get(nodeId);
    if (usage === undefined) {
      usage = overUsage(this.#index.nodes.get(nodeId) ?? NOTHING);
      this.#nodes.set(nodeId, usage);
    }
    countUsage(usage, task, sign);
  }
}

function reserveVips(pool: AddressPool, service: Service, network: Network): void {
  for (const vip of service.endpoint.virtualIps) {
    if (vip.networkId === network.id) pool.reserve(vip.address);
  }
}

const NOTHING: Readonly<NodeUsage> = noUsage();

function bare(address: string): string {
  return address.split('/')[0] ?? address;
}

/** "10.0.1.5" in "10.0.1.0/24" as "10.0.1.5/24". */
export function withPrefix(address: string, subnet: string): string {
  return `${address}/${parseIpv4Network(subnet)?.prefixLength ?? 32}`;
}
