/** Does a task that ended get a successor? Attempts are counted from the tasks that are stored. */
import type { Task } from '@swarmd/model';

import { times } from '../words.ts';
import { byAge, endedByItself, isOver, sameSpec, statusTime } from '../task-view.ts';

export type Verdict =
  /** `count`: "restart 2 of 3", where the policy counts. */
  | { readonly kind: 'restart'; readonly count?: string }
  | { readonly kind: 'refused'; readonly message: string }
  | { readonly kind: 'exhausted'; readonly message: string };

/**
 * `slot`: all stored tasks of the task's slot. Only tasks of the same spec count, so a new spec
 * starts afresh; tasks that lost their node do not count, so a partition eats no attempts.
 */
export function judgeRestart(task: Task, slot: readonly Task[]): Verdict {
  const { condition, maxAttempts, windowMs } = task.spec.restart;
  if (condition === 'none') {
    return { kind: 'refused', message: 'the restart condition is "none"' };
  }
  if (condition === 'on-failure' && task.status.state === 'complete') {
    return { kind: 'refused', message: 'it completed, and the restart condition is "on-failure"' };
  }
  if (maxAttempts === 0) return { kind: 'restart' };
  const attempts = countAttempts(task, slot);
  const within = windowMs === 0 ? '' : ` within ${windowMs / 1_000} s`;
  return attempts < maxAttempts
    ? { kind: 'restart', count: `restart ${attempts + 1} of ${maxAttempts}${within}` }
    : {
        kind: 'exhausted',
        message: `it was restarted ${times(attempts)}${within}, the most allowed`,
      };
}

/**
 * Restarts so far: every earlier task that ended by itself led to one. With a window, only those
 * within it count, where the time spent waiting for restart delays is left out: otherwise a window
 * shorter than the delay would never see more than one (moby/swarmkit#2936).
 */
function countAttempts(task: Task, slot: readonly Task[]): number {
  const { windowMs, delayMs } = task.spec.restart;
  const earlier = slot
    .filter(
      (other) =>
        other.id !== task.id &&
        other.jobIteration === task.jobIteration &&
        byAge(other, task) < 0 &&
        isOver(other) &&
        endedByItself(other) &&
        sameSpec(other.spec, task.spec),
    )
    .toSorted((a, b) => byAge(b, a));
  if (windowMs === 0) return earlier.length;
  const end = statusTime(task);
  let attempts = 0;
  for (const other of earlier) {
    const waited = (attempts + 1) * delayMs;
    if (end - statusTime(other) - waited > windowMs) break;
    attempts += 1;
  }
  return attempts;
}
