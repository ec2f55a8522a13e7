/**
 * What all tasks of a cluster hold, brought up to date by comparing the view's task objects with
 * those seen before: as tasks are immutable, only the ones that changed cost anything. A memo, not a
 * memory: but for which free address comes next, an index built anew answers the same.
 */
import { Journal } from '@swarmd/base';
import type { NetworkId, Node, NodeId, Task, TaskId } from '@swarmd/model';

import { clusterOf } from '../allocate/subnet.ts';
import { NODE_NEWS_MAX } from '../limits.ts';
import { isOver, isWanted } from '../task-view.ts';
import type { PlanView } from '../types.ts';
import { NodeMemos } from './node-memos.ts';
import { NodeNumbers } from './node-numbers.ts';
import { countUsage, noUsage, type NodeUsage } from './node-usage.ts';

/** How many hold what. */
export type Counts = Map<string, number>;

export interface AddressBook {
  readonly held: Counts;
  /** Of ended tasks that are still remembered. */
  readonly resting: Counts;
  /** The one that was given out last, and when. */
  newest?: { readonly address: string; readonly at: number };
}

export class HeldIndex {
  readonly nodes = new Map<NodeId, NodeUsage>();
  readonly networks = new Map<NetworkId, AddressBook>();
  readonly gateways = new Map<NodeId, AddressBook>();
  readonly news = new Journal<NodeId>(NODE_NEWS_MAX);
  readonly memos = new NodeMemos(this);
  readonly numbers = new NodeNumbers();
  readonly #seen = new Map<TaskId, Task>();
  readonly #seenNodes = new Map<NodeId, Node>();
  #mark: number | undefined;
  #nodeMark: number | undefined;

  sync(view: PlanView): void {
    const written = view.tasksWrittenSince?.(this.#mark);
    this.#mark = written?.mark;
    if (written?.ids === undefined) this.#readAll(view);
    else for (const id of written.ids) this.#follow(id, view.get('task', id));
    this.#followNodes(view);
  }

  #followNodes(view: PlanView): void {
    const written = view.nodesWrittenSince?.(this.#nodeMark);
    this.#nodeMark = written?.mark;
    if (written?.ids !== undefined) {
      for (const id of written.ids) this.#followNode(id, view.get('node', id));
      return;
    }
    const gone = new Set(this.#seenNodes.keys());
    for (const node of view.list('node')) {
      gone.delete(node.id);
      this.#followNode(node.id, node);
    }
    for (const id of gone) this.#followNode(id, undefined);
  }

  #followNode(id: NodeId, node: Node | undefined): void {
    const before = this.#seenNodes.get(id);
    if (before === node) return;
    this.numbers.follow(before, node);
    if (node === undefined) this.#seenNodes.delete(id);
    else this.#seenNodes.set(id, node);
    this.news.note(id);
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
      this.news.note(task.nominated.nodeId);
      return;
    }
    const over = isOver(task);
    this.news.note(nodeId);
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
    a.preemptedBy === b.preemptedBy &&
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
  const index = cluster === undefined ? undefined : indexes.get(cluster);
  index?.sync(view);
  index?.memos.follow(view);
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
