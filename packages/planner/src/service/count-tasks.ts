/** A service in numbers, as lists show it. */
import { unreachable } from '@swarmd/base';
import { isTerminal, wantedReplicas, type Service, type Task } from '@swarmd/model';

import { compliance, isWanted } from '../task-view.ts';
import type { PlanView } from '../types.ts';

export interface TaskCounts {
  /** Tasks that should run; of jobs: that should complete. */
  readonly desired: number;
  readonly running: number;
  /** Of jobs: tasks of the present run that have completed; 0 for services. */
  readonly completed: number;
}

export function countTasks(view: PlanView, service: Service): TaskCounts {
  const tasks = [...view.tasksByService(service.id)].filter(
    (task) => task.desiredState !== 'remove' && isOfThisRun(task, service),
  );
  const running = tasks.filter((task) => isWanted(task) && task.status.state === 'running').length;
  const completed = tasks.filter(
    (task) => service.jobStatus !== undefined && task.status.state === 'complete',
  ).length;
  return { desired: desiredOf(view, service, tasks), running, completed };
}

function isOfThisRun(task: Task, service: Service): boolean {
  return task.jobIteration === service.jobStatus?.iteration;
}

function desiredOf(view: PlanView, service: Service, tasks: readonly Task[]): number {
  const { mode } = service.spec;
  switch (mode.kind) {
    case 'replicated':
      return wantedReplicas(service);
    case 'replicated-job':
      return mode.totalCompletions;
    case 'global':
    case 'global-job':
      return suitableSlots(view, service, tasks);
    default:
      return unreachable(mode);
  }
}

/** Nodes that should have a task, and those that have one (or a completed one) all the same. */
function suitableSlots(view: PlanView, service: Service, tasks: readonly Task[]): number {
  const complies = compliance(service.spec.task);
  const slots = new Set<number>();
  for (const node of view.list('node')) {
    const isOpen = node.status.state === 'ready' && node.spec.availability === 'active';
    if (isOpen && complies(node)) slots.add(node.index);
  }
  for (const task of tasks) {
    if (!isWanted(task)) continue;
    const isDone = task.status.state === 'complete' && task.desiredState === 'complete';
    if (isDone || !isTerminal(task.status.state)) slots.add(task.slot);
  }
  return slots.size;
}
