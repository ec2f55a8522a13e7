/** For people who ask why: every node, and what it lacks for a task. */
import { isGlobal, type Node, type Task } from '@swarmd/model';

import { isWanted } from '../task-view.ts';
import type { PlanView } from '../types.ts';
import { demandOf, refusal } from './filters.ts';
import { Usage } from './usage.ts';

export interface NodeVerdict {
  readonly node: Node;
  /** The first filter that turns the task away, in its words; undefined: the node would take it. */
  readonly lacks?: string;
}

/** What each node says to one more task like this one; for global services only its own node. */
export function nodeVerdicts(view: PlanView, task: Task): NodeVerdict[] {
  const usage = new Usage(view);
  if (task.nominated !== undefined) usage.release(task);
  const demand = demandOf(task);
  const service = view.get('service', task.serviceId);
  const isPinned = service !== undefined && isGlobal(service.spec.mode);
  const counts = new Map<string, number>();
  for (const one of view.tasksByService(task.serviceId)) {
    if (!isWanted(one) || one.nodeId === undefined || one.id === task.id) continue;
    counts.set(one.nodeId, (counts.get(one.nodeId) ?? 0) + 1);
  }
  return [...view.list('node')]
    .filter((node) => !isPinned || node.index === task.slot)
    .toSorted((a, b) => a.index - b.index)
    .map((node) => {
      const lacks = refusal({ node, usage, ofService: counts.get(node.id) ?? 0 }, demand);
      return { node, ...(lacks === undefined ? {} : { lacks }) };
    });
}
