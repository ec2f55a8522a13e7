/**
 * Forgets tasks: those that were to be removed once they have stopped, and ended ones beyond the
 * history that a slot keeps. As many as the restart policy and a running update count stay.
 */
import type { Service, Task } from '@swarmd/model';

import { clusterOf } from '../allocate/subnet.ts';
import type { Draft } from '../draft.ts';
import { keptIterations } from './runs.ts';
import { byAge, isOver, isWanted } from '../task-view.ts';

const HISTORY_LIMIT_DEFAULT = 5;

export function reap(draft: Draft, service: Service | undefined): void {
  const limit = clusterOf(draft.view)?.spec.taskHistoryLimit ?? HISTORY_LIMIT_DEFAULT;
  for (const task of draft.tasks()) {
    if (task.desiredState === 'remove' && isOver(task)) {
      draft.delete(task, draft.reason('task-gone', `${task.id} has stopped`));
    }
  }
  const runs = service?.spec.schedule === undefined ? [undefined] : [...keptIterations(service)];
  for (const run of runs) draft.ofRun(run, () => reapSlots(draft, service, limit));
}

function reapSlots(draft: Draft, service: Service | undefined, limit: number): void {
  for (const slot of draft.slots().values()) {
    const ended = slot
      .filter((task) => isOver(task) && !isWanted(task))
      .toSorted((a, b) => byAge(b, a));
    if (ended.length === 0) continue;
    const keep = historyOf(slot, service, limit);
    const witnesses = isUpdating(service) ? witnessesOf(slot, service) : [];
    for (const task of ended.slice(keep)) {
      if (witnesses.includes(task)) continue;
      draft.delete(
        task,
        draft.reason('history-limit', `a slot keeps ${keep} ended task${keep === 1 ? '' : 's'}`),
      );
    }
  }
}

/**
 * What an update is judged by: that a slot has run something makes it count as in flight, and its time runs
 * from the first attempt, however many are lost after that.
 */
function witnessesOf(slot: readonly Task[], { specVersion }: Service): (Task | undefined)[] {
  const byTime = slot.toSorted(byAge);
  return [
    byTime.findLast((task) => isOver(task) && !isWanted(task) && task.startedAt !== undefined),
    byTime.find((task) => task.specVersion === specVersion),
  ];
}

function historyOf(slot: readonly Task[], service: Service | undefined, limit: number): number {
  // A slot at rest is known by its last task.
  const atRest = slot.some((task) => isWanted(task)) ? 0 : 1;
  const attempts = slot.map((task) => task.spec.restart.maxAttempts).filter((max) => max > 0);
  const counted = isUpdating(service) ? 1 : 0;
  return Math.max(limit, atRest, counted, ...attempts.map((max) => max + 1));
}

function isUpdating(service: Service | undefined): service is Service {
  const phase = service?.updateStatus?.state;
  return phase === 'updating' || phase === 'rollback-started';
}
