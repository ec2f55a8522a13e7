/** The nodes as a plan asks for them: by the tasks on them, and by their numbers. */
import type { Node, NodeId, Task, TaskSpec } from '@swarmd/model';

import { NODE_LOST_AFTER_MS } from './limits.ts';
import { heldIndex, type HeldIndex } from './place/held-index.ts';
import type { PlanView } from './types.ts';

export type Loss =
  | 'node-down'
  | 'node-drained'
  | 'node-removed'
  | 'node-lost'
  | 'node-unsuitable'
  | 'node-overcommitted'
  | 'preempted';

/** Reads nodes for the tasks on them. */
export class NodeLookup {
  readonly #view: PlanView;
  readonly #now: number;
  #held: HeldIndex | undefined;

  constructor(view: PlanView, now: number) {
    this.#view = view;
    this.#now = now;
  }

  /** The node with this number: that of a slot of a global service. */
  numbered(index: number): Node | undefined {
    const id = this.#index().numbers.holderOf(index);
    return id === undefined ? undefined : this.#get(id);
  }

  /** Nodes where a global service of this spec may start a task, by their numbers. */
  *openTo(spec: TaskSpec): Iterable<Node> {
    for (const number of this.#index().memos.suitable(this.#view, spec)) {
      const node = this.numbered(number);
      if (node !== undefined) yield node;
    }
  }

  /** As the view stays as it is while a plan is made, so does this. */
  #index(): HeldIndex {
    return (this.#held ??= heldIndex(this.#view));
  }

  #get(id: NodeId): Node | undefined {
    return this.#view.get('node', id);
  }

  of(task: Task): Node | undefined {
    return task.nodeId === undefined ? undefined : this.#get(task.nodeId);
  }

  /** Why the task must be elsewhere; undefined when it may stay for now. An unknown node is left alone. */
  lossOf(task: Task): Loss | undefined {
    if (task.nodeId === undefined) return undefined;
    const node = this.#get(task.nodeId);
    if (node === undefined) return 'node-removed';
    if (node.status.state === 'down') {
      return (this.replaceFrom(task) ?? 0) > this.#now ? undefined : 'node-down';
    }
    return node.spec.availability === 'drain' ? 'node-drained' : undefined;
  }

  /** It may still run somewhere, but nobody can tell: its node is down or gone. */
  isUnreachable(task: Task): boolean {
    if (task.nodeId === undefined) return false;
    const node = this.#get(task.nodeId);
    return node === undefined || node.status.state === 'down';
  }

  /** Of a task on a node that went down with many others: when its turn to be replaced comes. */
  replaceFrom(task: Task): number | undefined {
    return this.of(task)?.status.replaceFrom;
  }

  /** When a task on a down node stops being waited for; undefined when its node is not down. */
  lostAt(task: Task): number | undefined {
    const node = this.of(task);
    return node?.status.state === 'down' ? node.status.since + NODE_LOST_AFTER_MS : undefined;
  }
}
