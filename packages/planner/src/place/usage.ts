/**
 * What the tasks of the cluster hold: reservations, host ports, addresses. Built in one pass over
 * all tasks, and only for plans that have something to place.
 */
import {
  parseIpv4Network,
  type Network,
  type NetworkId,
  type Node,
  type NodeId,
  type PortConfig,
  type Task,
} from '@swarmd/model';

import { AddressPool } from '../allocate/address-pool.ts';
import { isOver, isWanted } from '../task-view.ts';
import type { PlanView } from '../types.ts';

export interface NodeUsage {
  nanoCpus: number;
  memoryBytes: number;
  /** Wanted tasks of any service. */
  tasks: number;
  /** Tasks of any kind that hold something of the node. */
  holders: number;
  readonly hostPorts: Set<string>;
}

export function portKey(port: PortConfig): string {
  return `${port.publishedPort}/${port.protocol}`;
}

export function hostPorts(task: Pick<Task, 'ports'>): PortConfig[] {
  return task.ports.filter((port) => port.publishMode === 'host' && port.publishedPort > 0);
}

export class Usage {
  readonly #view: PlanView;
  /** The newest state of a task, which may be that of an unfinished plan; undefined: deleted. */
  readonly #newest: (task: Task) => Task | undefined;
  readonly #nodes = new Map<NodeId, NodeUsage>();
  readonly #networks = new Map<NetworkId, AddressPool>();
  readonly #gateways = new Map<NodeId, AddressPool>();

  /** `networks` are those that addresses will be asked of. */
  constructor(
    view: PlanView,
    options: { networks: readonly Network[]; newest: (task: Task) => Task | undefined },
  ) {
    this.#view = view;
    this.#newest = options.newest;
    for (const network of options.networks) this.#addNetwork(network);
    for (const stored of view.list('task')) {
      const task = this.#newest(stored);
      if (task !== undefined) this.#add(task);
    }
  }

  of(node: NodeId): NodeUsage {
    let usage = this.#nodes.get(node);
    if (usage === undefined) {
      usage = { nanoCpus: 0, memoryBytes: 0, tasks: 0, holders: 0, hostPorts: new Set() };
      this.#nodes.set(node, usage);
    }
    return usage;
  }

  /** Counts a task that has just been placed. */
  hold(task: Task): void {
    this.#count(task, 1);
  }

  /** Counts a task out, to see what would be if it were gone. */
  release(task: Task): void {
    if (!isOver(task)) this.#count(task, -1);
  }

  network(id: NetworkId): AddressPool | undefined {
    return this.#networks.get(id);
  }

  /** Addresses of the node's own subnet: for containers' way out. The first one is the node's. */
  gateway(node: Node): AddressPool {
    let pool = this.#gateways.get(node.id);
    if (pool !== undefined) return pool;
    pool = new AddressPool(node.gatewaySubnet);
    for (const stored of this.#view.tasksByNode(node.id)) {
      const task = this.#newest(stored);
      if (task?.gatewayAddress !== undefined) {
        pool.note(task.gatewayAddress, { held: !isOver(task), at: task.meta.createdAt });
      }
    }
    this.#gateways.set(node.id, pool);
    return pool;
  }

  #addNetwork(network: Network): void {
    const pool = new AddressPool(network.subnet);
    pool.note(network.gateway, { held: true, at: 0 });
    for (const service of this.#view.list('service')) {
      for (const vip of service.endpoint.virtualIps) {
        if (vip.networkId === network.id) pool.note(vip.address, { held: true, at: 0 });
      }
    }
    this.#networks.set(network.id, pool);
  }

  #add(task: Task): void {
    if (this.#networks.size > 0) {
      for (const { networkId, address } of task.networks) {
        const slash = address.indexOf('/');
        this.#networks.get(networkId)?.note(slash < 0 ? address : address.slice(0, slash), {
          held: !isOver(task),
          at: task.meta.createdAt,
        });
      }
    }
    if (!isOver(task)) this.#count(task, 1);
  }

  #count(task: Task, sign: 1 | -1): void {
    if (task.nodeId === undefined) return;
    const usage = this.of(task.nodeId);
    usage.nanoCpus += sign * task.spec.reservations.nanoCpus;
    usage.memoryBytes += sign * task.spec.reservations.memoryBytes;
    usage.holders += sign;
    if (isWanted(task)) usage.tasks += sign;
    if (task.ports.length === 0) return;
    for (const port of hostPorts(task)) {
      if (sign > 0) usage.hostPorts.add(portKey(port));
      else usage.hostPorts.delete(portKey(port));
    }
  }
}

/** "10.0.1.5" in "10.0.1.0/24" as "10.0.1.5/24". */
export function withPrefix(address: string, subnet: string): string {
  return `${address}/${parseIpv4Network(subnet)?.prefixLength ?? 32}`;
}
