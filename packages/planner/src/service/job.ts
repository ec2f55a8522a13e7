/**
 * Jobs with a number of completions. A slot is one completion: its tasks are tried one after the
 * other as the restart policy allows, and a slot without attempts left is not used again.
 */
import type { Service, Task } from '@swarmd/model';

import type { Draft } from '../draft.ts';
import { isOver, isWanted } from '../task-view.ts';
import { areWanted } from '../words.ts';
import { addTask } from './new-task.ts';
import { keptIterations } from './runs.ts';

/** What belongs to no run that is under way or kept. Without a schedule only the last run is. */
export function removeOtherRuns(draft: Draft, service: Service): void {
  const run = service.jobStatus?.iteration;
  const isScheduled = service.spec.schedule !== undefined;
  const kept = isScheduled ? keptIterations(service) : new Set([run]);
  for (const task of draft.tasks()) {
    if (kept.has(task.jobIteration ?? 0) || task.desiredState === 'remove') continue;
    const why = isScheduled
      ? draft.reason('run-ended', `run ${task.jobIteration} of the job is not kept any more`)
      : draft.reason('job-again', `run ${run} of the job has begun`);
    draft.change(task, { desiredState: 'remove' }, why);
  }
}

/** As many as may run together, of the completions that nobody works on yet. */
export function startJobTasks(draft: Draft, service: Service): void {
  const { mode } = service.spec;
  if (mode.kind !== 'replicated-job') return;
  const slots = draft.slots();
  const used = new Set<number>();
  let active = 0;
  for (const [slot, tasks] of slots) {
    const present = tasks.filter((task) => task.desiredState !== 'remove');
    if (present.length > 0) used.add(slot);
    if (present.some((task) => isWanted(task) && !isDone(task))) active += 1;
  }
  const count = Math.min(mode.maxConcurrent - active, mode.totalCompletions - used.size);
  if (count > draft.tasksMax) draft.askAgainAt(draft.now);
  const why = `${areWanted(mode.totalCompletions, 'completion')}, ${used.size === 1 ? '1 is' : `${used.size} are`} under way or done`;
  let slot = 1;
  for (let made = 0; made < Math.min(count, draft.tasksMax); made += 1) {
    while (used.has(slot)) slot += 1;
    used.add(slot);
    // A task of an earlier run may still be on its way out.
    const leaving = slots.get(slot)?.some((task) => !isOver(task)) ?? false;
    addTask(draft, service, {
      slot,
      because: draft.reason('job-run', why),
      ...(leaving ? { startNotBefore: draft.now } : {}),
    });
  }
}

export function isDone(task: Task): boolean {
  return task.status.state === 'complete';
}
