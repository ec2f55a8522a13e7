/**
 * When progress of tasks (accepted, preparing, ready, running) can change no plan: a service of which
 * nothing waits and nothing is on its way out. With a hundred thousand tasks starting, planning after
 * each of their steps would cost more than all other work.
 */
import { isTerminal, type ServiceId, type Task, type UpdateState } from '@swarmd/model';

import { rebalanceOf } from '../service/rebalance-policy.ts';
import { isOver, isWanted } from '../task-view.ts';
import type { PlanView } from '../types.ts';

const AT_REST: readonly (UpdateState | undefined)[] = [
  undefined,
  'completed',
  'rollback-completed',
];

/**
 * Every slot has at most one task that lives; that one has its node and is told to run; no update is
 * under way. To be asked after a plan that wants no other at some time.
 */
export function isQuiet(view: PlanView, id: ServiceId): boolean {
  const service = view.get('service', id);
  if (service === undefined || !AT_REST.includes(service.updateStatus?.state)) return false;
  const moves = rebalanceOf(view, service).budget > 0;
  const slots = new Set<number>();
  for (const task of view.tasksByService(id)) {
    if (isOver(task) && !isWanted(task)) continue;
    const runs = task.desiredState === 'running' && task.nodeId !== undefined;
    if (!runs || isTerminal(task.status.state) || slots.has(task.slot)) return false;
    if (task.specVersion !== service.specVersion) return false;
    // Moves begin once everything runs.
    if (moves && task.status.state !== 'running') return false;
    slots.add(task.slot);
  }
  return true;
}

/** The agent's news of a task that goes on. */
export function isProgress(before: Task | undefined, after: Task | undefined): boolean {
  return (
    before !== undefined &&
    after !== undefined &&
    before.desiredState === after.desiredState &&
    before.nodeId === after.nodeId &&
    before.preemptedBy === after.preemptedBy &&
    before.specVersion === after.specVersion &&
    !isTerminal(before.status.state) &&
    !isTerminal(after.status.state)
  );
}
