/**
 * What all tasks of a cluster hold, brought up to date by comparing the view's task objects with
 * those seen before: as tasks are immutable, only the ones that changed cost anything. A memo, not a
 * memory: but for which free address comes next, an index built anew answers the same.
 */
import {
  parseAffinity,
  type NetworkId,
  type NodeId,
  type PortConfig,
  type Task,
  type TaskId,
} from '@swarmd/model';

import { clusterOf } from '../allocate/subnet.ts';
import { isOver, isWanted } from '../task-view.ts';
import type { PlanView } from '../types.ts';
import { genericKeys } from './generic.ts';
import { NodeOrder } from './node-order.ts';
import { Tally } from './tally.ts';

export interface NodeUsage {
  nanoCpus: number;
  memoryBytes: number;
  /** Wanted tasks of any service. */
  tasks: number;
  /** Tasks of any kind that hold something of the node. */
  holders: number;
  /** By `portKeys`. */
  readonly hostPorts: Tally;
  /** Generic resources, see `genericKeys`. */
  readonly generic: Tally;
  /** Wanted tasks by the name of their service. */
  readonly services: Tally;
  /** Tasks that the node makes room for, by the name of their service: who must not meet them stays away. */
  readonly expected: Tally;
  /** Names of services that a task here, or one that is expected, keeps away. */
  readonly repelled: Tally;
}

/** How many hold what. */
export type Counts = Map<string, number>;

export interface AddressBook {
  readonly held: Counts;
  /** Of ended tasks that are still remembered. */
  readonly resting: Counts;
  /** The one that was given out last, and when. */
  newest?: { readonly address: string; readonly at: number };
}

/** What a port takes of a node: itself at its address (or at all), and a share of the number. */
function portKeys(port: PortConfig): string[] {
  const number = `${port.publishedPort}/${port.protocol}`;
  return [`any ${number}`, `${port.address} ${number}`];
}

/** True when a task of the node answers at the same address: a port of all addresses meets every one. */
export function isPortHeld({ hostPorts }: Pick<NodeUsage, 'hostPorts'>, port: PortConfig): boolean {
  const number = `${port.publishedPort}/${port.protocol}`;
  if (port.address === '') return hostPorts.has(`any ${number}`);
  return hostPorts.has(` ${number}`) || hostPorts.has(`${port.address} ${number}`);
}

export function hostPorts(task: Pick<Task, 'ports'>): PortConfig[] {
  return task.ports.filter((port) => port.publishMode === 'host' && port.publishedPort > 0);
}

export function noUsage(): NodeUsage {
  return {
    nanoCpus: 0,
    memoryBytes: 0,
    tasks: 0,
    holders: 0,
    hostPorts: new Tally(),
    generic: new Tally(),
    services: new Tally(),
    expected: new Tally(),
    repelled: new Tally(),
  };
}

/** The usage as it would be with changes of its own. What it is drawn from must stay as it is meanwhile. */
export function overUsage(usage: NodeUsage): NodeUsage {
  return {
    ...usage,
    hostPorts: new Tally(usage.hostPorts),
    generic: new Tally(usage.generic),
    services: new Tally(usage.services),
    expected: new Tally(usage.expected),
    repelled: new Tally(usage.repelled),
  };
}

/** Changes a node's usage by what a task holds of it. */
export function countUsage(usage: NodeUsage, task: Task, sign: 1 | -1): void {
  usage.nanoCpus += sign * task.spec.reservations.nanoCpus;
  usage.memoryBytes += sign * task.spec.reservations.memoryBytes;
  usage.holders += sign;
  if (task.nodeId === undefined) countReserved(usage, task, sign);
  else if (isWanted(task)) {
    usage.tasks += sign;
    usage.services.add(task.serviceName, sign);
  }
  if (isWanted(task)) for (const name of repelledBy(task)) usage.repelled.add(name, sign);
  for (const resource of task.claimed?.generic ?? []) {
    for (const [key, n] of genericKeys(resource)) usage.generic.add(key, sign * n);
  }
  if (task.ports.length === 0) return;
  for (const port of hostPorts(task)) {
    for (const key of portKeys(port)) usage.hostPorts.add(key, sign);
  }
}

/** Of a task that is only nominated, which has no names of generic resources yet. */
function countReserved(usage: NodeUsage, task: Task, sign: 1 | -1): void {
  const { spec } = task;
  if (isWanted(task)) usage.expected.add(task.serviceName, sign);
  for (const resource of spec.reservations.generic) {
    usage.generic.add(resource.kind, sign * resource.count);
  }
}

function repelledBy({ spec }: Task): string[] {
  const { affinities } = spec.placement;
  if (affinities.length === 0) return [];
  return affinities.flatMap((text) => {
    const parsed = parseAffinity(text);
    return typeof parsed === 'string' || parsed.together || !parsed.required
      ? []
      : [parsed.service];
  });
}

export class HeldIndex {
  readonly nodes = new Map<NodeId, NodeUsage>();
  readonly networks = new Map<NetworkId, AddressBook>();
  readonly gateways = new Map<NodeId, AddressBook>();
  readonly order = new NodeOrder();
  readonly #seen = new Map<TaskId, Task>();
  /** Nodes whose usage changed since `order` was told. */
  readonly #touched = new Set<NodeId>();
  #mark: number | undefined;

  sync(view: PlanView): void {
    const written = view.tasksWrittenSince?.(this.#mark);
    this.#mark = written?.mark;
    if (written?.ids === undefined) this.#readAll(view);
    else for (const id of written.ids) this.#follow(id, view.get('task', id));
    const tasksOn = (nodeId: NodeId): number => this.nodes.get(nodeId)?.tasks ?? 0;
    for (const nodeId of this.#touched) this.order.set(nodeId, tasksOn(nodeId));
    this.#touched.clear();
    this.order.follow(view, tasksOn);
  }

  #follow(id: TaskId, task: Task | undefined): void {
    const known = this.#seen.get(id);
    if (known === task) return;
    const holdsTheSame = known !== undefined && task !== undefined && holdSame(known, task);
    if (known !== undefined && !holdsTheSame) this.#count(known, -1);
    if (task === undefined) this.#seen.delete(id);
    else {
      if (!holdsTheSame) this.#count(task, 1);
      this.#seen.set(id, task);
    }
  }

  #readAll(view: PlanView): void {
    let present = 0;
    for (const task of view.list('task')) {
      present += 1;
      this.#follow(task.id, task);
    }
    if (present < this.#seen.size) this.#forget(view);
  }

  #forget(view: PlanView): void {
    const present = new Set<TaskId>();
    for (const task of view.list('task')) present.add(task.id);
    for (const [id, task] of this.#seen) {
      if (present.has(id)) continue;
      this.#count(task, -1);
      this.#seen.delete(id);
    }
  }

  #count(task: Task, sign: 1 | -1): void {
    const { nodeId } = task;
    if (nodeId === undefined) {
      if (task.nominated === undefined || isOver(task)) return;
      countUsage(entry(this.nodes, task.nominated.nodeId, noUsage), task, sign);
      return;
    }
    const over = isOver(task);
    this.#touched.add(nodeId);
    if (!over) countUsage(entry(this.nodes, nodeId, noUsage), task, sign);
    for (const { networkId, address } of task.networks) {
      if (address === '') continue;
      note(entry(this.networks, networkId, emptyBook), bare(address), { task, over, sign });
    }
    if (task.gatewayAddress !== undefined) {
      note(entry(this.gateways, nodeId, emptyBook), task.gatewayAddress, { task, over, sign });
    }
  }
}

/** True for most writes of a task: it goes on, or it was written again as it is. */
function holdSame(a: Task, b: Task): boolean {
  return (
    a.nodeId === b.nodeId &&
    a.nominated === b.nominated &&
    a.spec === b.spec &&
    a.networks === b.networks &&
    a.ports === b.ports &&
    a.claimed === b.claimed &&
    a.gatewayAddress === b.gatewayAddress &&
    a.meta.createdAt === b.meta.createdAt &&
    isOver(a) === isOver(b) &&
    isWanted(a) === isWanted(b)
  );
}

const indexes = new WeakMap<object, HeldIndex>();

/**
 * The index of the cluster that the view belongs to, up to date with it. Kept by the cluster object,
 * as every store has its own.
 */
export function heldIndex(view: PlanView): HeldIndex {
  const cluster = clusterOf(view);
  let index = cluster === undefined ? undefined : indexes.get(cluster);
  if (index === undefined) {
    index = new HeldIndex();
    if (cluster !== undefined) indexes.set(cluster, index);
  }
  index.sync(view);
  return index;
}

/** Brings the index of the cluster up to date, if anybody has asked for it so far: only a leader plans. */
export function followHeld(view: PlanView): void {
  const cluster = clusterOf(view);
  if (cluster !== undefined) indexes.get(cluster)?.sync(view);
}

function emptyBook(): AddressBook {
  return { held: new Map(), resting: new Map() };
}

/** "10.0.1.5/24" as "10.0.1.5". */
function bare(address: string): string {
  const slash = address.indexOf('/');
  return slash < 0 ? address : address.slice(0, slash);
}

function note(
  book: AddressBook,
  address: string,
  use: { task: Task; over: boolean; sign: 1 | -1 },
): void {
  count(use.over ? book.resting : book.held, address, use.sign);
  const at = use.task.meta.createdAt;
  // Of two of the same millisecond, the one that is listed later was made later.
  if (use.sign > 0 && (book.newest === undefined || at >= book.newest.at)) {
    book.newest = { address, at };
  }
}

function count(counts: Counts, key: string, change: number): void {
  const next = (counts.get(key) ?? 0) + change;
  if (next === 0) counts.delete(key);
  else counts.set(key, next);
}

function entry<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}
