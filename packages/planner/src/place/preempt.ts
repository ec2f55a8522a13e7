/**
 * Room by priority. A task without a node whose service may preempt is given a nomination: the node
 * where the fewest and least important tasks of other services have to leave. Those are marked, and
 * moved by their own services' plans; the room is kept for the task meanwhile, as what nominated tasks
 * reserve counts as held.
 */
import type { Node, NodeId, Task } from '@swarmd/model';

import type { Draft } from '../draft.ts';
import { PREEMPTION_NODES_MAX } from '../limits.ts';
import { isAtWork, isOver, isWanted } from '../task-view.ts';
import { refusal, type Demand } from './filters.ts';
import { Usage } from './usage.ts';

interface Nomination {
  readonly node: Node;
  readonly victims: readonly Task[];
}

interface Preemption {
  readonly demand: Demand;
  readonly nodes: Iterable<Node>;
  /** As the plan has it by now. */
  readonly usage: Usage;
  /** Nodes that were found to have no room to make, and have not changed since; is added to. */
  readonly hopeless: Set<NodeId>;
}

export function mayPreempt({ spec }: Task): boolean {
  return spec.placement.preempts && spec.placement.priority > 0;
}

/** The node that can make room most cheaply, with the tasks that leave; undefined when none can. */
export function nominate(draft: Draft, task: Task, options: Preemption): Nomination | undefined {
  const { nodes, usage, hopeless } = options;
  let best: Nomination | undefined;
  let tried = 0;
  for (const node of nodes) {
    if (tried === PREEMPTION_NODES_MAX) break;
    if (hopeless.has(node.id) && !usage.isChanged(node.id)) continue;
    const found = roomOn(draft, node, { task, demand: options.demand });
    if (found === undefined) {
      if (!usage.isChanged(node.id)) hopeless.add(node.id);
      continue;
    }
    tried += 1;
    if (best === undefined || isCheaper(found, best)) best = found;
  }
  return best;
}

function roomOn(
  draft: Draft,
  node: Node,
  { task, demand }: { task: Task; demand: Demand },
): Nomination | undefined {
  const { priority } = task.spec.placement;
  const here = [...draft.view.tasksByNode(node.id)].filter((one) => !isOver(one));
  const candidates = here
    .filter((one) => one.serviceId !== task.serviceId && isWanted(one) && !isLeaving(draft, one))
    .filter((one) => one.spec.placement.priority < priority)
    .toSorted(byImportance);
  if (candidates.length === 0) return undefined;
  const usage = new Usage(draft.view, draft.changes(), draft.service);
  for (const one of here) if (isLeaving(draft, one)) usage.release(one);
  const ofService = draft.tasks().filter((one) => isAtWork(one) && one.nodeId === node.id).length;
  const fits = (): boolean => refusal({ node, usage, ofService }, demand) === undefined;
  const victims: Task[] = [];
  for (const one of candidates) {
    usage.release(one);
    victims.push(one);
    if (fits()) return { node, victims: withoutNeedless(victims, usage, fits) };
  }
  return undefined;
}

/** For another task already. */
function isLeaving(draft: Draft, task: Task): boolean {
  return task.preemptedBy !== undefined || draft.isOtherChanged(task.id);
}

/** Who could have stayed after all, the most important first. */
function withoutNeedless(
  victims: readonly Task[],
  usage: Usage,
  fits: () => boolean,
): readonly Task[] {
  const needed = new Set(victims);
  for (const one of victims.toReversed()) {
    usage.hold(one);
    if (fits()) needed.delete(one);
    else usage.release(one);
  }
  return [...needed];
}

/** Least important first, of equals the newest. */
function byImportance(a: Task, b: Task): number {
  return (
    a.spec.placement.priority - b.spec.placement.priority ||
    b.meta.createdAt - a.meta.createdAt ||
    (a.id < b.id ? 1 : -1)
  );
}

function isCheaper(a: Nomination, b: Nomination): boolean {
  const top = ({ victims }: Nomination): number =>
    Math.max(...victims.map((one) => one.spec.placement.priority));
  return (
    (top(a) - top(b) || a.victims.length - b.victims.length || a.node.index - b.node.index) < 0
  );
}
