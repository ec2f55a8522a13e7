/** An update whose new task cannot get as far as running must not wait for ever. */
import type { Service, Task } from '@swarmd/model';

import type { Draft } from '../draft.ts';
import { isOver, isWanted, taskName } from '../task-view.ts';
import { settledAt, updateConfigOf, type SlotProgress } from './update-state.ts';

/** What has kept a slot from settling for too long, in words; undefined while there is time. */
export function stuckSlot(
  draft: Draft,
  service: Service,
  slots: readonly SlotProgress[],
): string | undefined {
  const { progressDeadlineMs } = updateConfigOf(service);
  if (progressDeadlineMs === 0) return undefined;
  for (const { attempts } of slots) {
    const [first] = attempts;
    const waiting = attempts.findLast((task) => isWanted(task) && !isOver(task));
    if (first === undefined || waiting === undefined || settledAt(attempts) !== undefined) continue;
    const dueAt = first.meta.createdAt + progressDeadlineMs;
    if (dueAt <= draft.now) return describe(waiting, progressDeadlineMs);
    draft.waitUntil(dueAt, {
      code: 'progress-deadline',
      message: `${taskName(waiting)} has to run by then, or the update fails`,
      taskId: waiting.id,
    });
  }
  return undefined;
}

function describe(task: Task, deadlineMs: number): string {
  const { state, error } = task.status;
  const why = error === '' ? '' : `: ${error}`;
  return `task ${taskName(task)} is ${state} and made no progress for ${deadlineMs / 1_000} s${why}`;
}
