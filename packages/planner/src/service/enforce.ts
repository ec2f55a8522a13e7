/**
 * Running tasks whose node no longer is what it was for them: its labels changed, or it has less than
 * its tasks reserve. Only active nodes that are heard of are looked at, as in Swarm; drained ones and
 * those that are down have rules of their own.
 */
import type { Node, NodeId, Task, TaskId } from '@swarmd/model';

import type { Draft } from '../draft.ts';
import type { Loss } from '../node-lookup.ts';
import { missingGeneric } from '../place/generic.ts';
import { countUsage, noUsage, type NodeUsage } from '../place/node-usage.ts';
import { Tally } from '../place/tally.ts';
import { compliance, isOver, isWanted } from '../task-view.ts';

export class Enforcer {
  readonly #draft: Draft;
  /** Tasks that a node has no room for any more. */
  readonly #surplus = new Map<NodeId, ReadonlySet<TaskId>>();

  constructor(draft: Draft) {
    this.#draft = draft;
  }

  /** Why a task must leave its node; undefined when it may stay. */
  lossOf(task: Task): Loss | undefined {
    const node = this.#draft.nodes.of(task);
    if (node?.status.state !== 'ready' || node.spec.availability !== 'active') return undefined;
    if (!this.#complies(task, node)) return 'node-unsuitable';
    if (!reserves(task)) return undefined;
    return this.#surplusOn(node).has(task.id) ? 'node-overcommitted' : undefined;
  }

  /** New constraints of the service are the rolling update's affair; here what the task was made for counts. */
  #complies(task: Task, node: Node): boolean {
    if (task.spec.placement.constraints.length === 0 || compliance(task.spec)(node)) return true;
    const now = this.#draft.service?.spec.task;
    return now !== undefined && now !== task.spec && compliance(now)(node);
  }

  #surplusOn(node: Node): ReadonlySet<TaskId> {
    let surplus = this.#surplus.get(node.id);
    if (surplus === undefined) {
      surplus = surplusTasks(this.#draft, node);
      this.#surplus.set(node.id, surplus);
    }
    return surplus;
  }
}

function reserves({ spec }: Task): boolean {
  const { nanoCpus, memoryBytes, generic } = spec.reservations;
  return nanoCpus > 0 || memoryBytes > 0 || generic.length > 0;
}

function exceeds(node: Node, usage: NodeUsage): boolean {
  const resources = node.description?.resources;
  if (resources === undefined) return false;
  const { nanoCpus, memoryBytes, generic } = usage;
  const isShort = [...generic.entries()].some(
    ([kind, count]) =>
      !kind.includes('=') &&
      missingGeneric(node, { generic: NONE }, [{ kind, count }]) !== undefined,
  );
  return nanoCpus > resources.nanoCpus || memoryBytes > resources.memoryBytes || isShort;
}

const NONE = new Tally();

/** The most important stay, of equals the oldest, as long as there is room; every service's plan comes to the same result. */
function surplusTasks(draft: Draft, node: Node): Set<TaskId> {
  const surplus = new Set<TaskId>();
  const usage = noUsage();
  const tasks = [...draft.view.tasksByNode(node.id)]
    .filter((task) => isWanted(task) && !isOver(task) && reserves(task))
    .toSorted(
      (a, b) =>
        b.spec.placement.priority - a.spec.placement.priority ||
        a.meta.createdAt - b.meta.createdAt ||
        (a.id < b.id ? -1 : 1),
    );
  for (const task of tasks) {
    countUsage(usage, task, 1);
    if (!exceeds(node, usage)) continue;
    countUsage(usage, task, -1);
    surplus.add(task.id);
  }
  return surplus;
}
