/** An update in words: how far it is, and what it and the other policies of the service wait for. */
import type { PlannedWait } from '@swarmd/api';
import { isWantedState, type Service, type Task } from '@swarmd/model';

import { isCurrent } from './converge.ts';
import { ago, duration, many } from './explain-words.ts';
import { overcome } from './overcome.ts';
import { wayOut } from './way-out.ts';

/** Waits of these rules are told elsewhere: with the update, the schedule or the task itself. */
const TOLD_ELSEWHERE = new Set(['update-health', 'schedule', 'restart-delay', 'predecessor']);
/** The soonest; the others are counted. */
const WAITS_SHOWN_MAX = 10;

/**
 * How far it is, and of one that has stopped the way out; no line while nothing was ever updated.
 * @param newest Of each slot the task that counts; `tasks`: all of them.
 */
export function explainUpdate(
  service: Service,
  { newest, tasks, now }: { newest: readonly Task[]; tasks: readonly Task[]; now: number },
): string[] {
  const { updateStatus } = service;
  if (updateStatus === undefined) return [];
  const { state, startedAt, completedAt, message, canary } = updateStatus;
  const until = forMore(canary?.until, now);
  if (completedAt !== undefined) {
    return [
      `  update: ${state} ${ago(completedAt, now)}, begun ${ago(startedAt, now)}: ${message}`,
    ];
  }
  const renewed = newest.filter(
    (task) =>
      task.status.state === 'running' &&
      isWantedState(task.desiredState) &&
      isCurrent(service, task),
  ).length;
  const far = `${renewed} of ${many(newest.length, 'task runs', 'tasks run')} the present spec`;
  const over = overcome(service, tasks);
  const way = wayOut(service);
  const next = over === undefined ? way && `to go on: ${way}` : `now: ${over}`;
  return [
    `  update: ${state}, begun ${ago(startedAt, now)}, ${far}: ${message}${until}`,
    ...(next === undefined ? [] : [`  ${next}`]),
  ];
}

/** Lines: what is waited for, and until when where that is known. */
export function explainWaits(waits: readonly PlannedWait[], now: number): string[] {
  const told = waits.filter(({ code }) => !TOLD_ELSEWHERE.has(code));
  const more = told.length - WAITS_SHOWN_MAX;
  return [
    ...told.slice(0, WAITS_SHOWN_MAX).map(({ code, message, until }) => {
      const time = until === undefined ? '' : ` ${duration(Math.max(0, until - now))}`;
      return `  waits${time}: ${message} [${code}]`;
    }),
    ...(more > 0 ? [`  and ${many(more, 'wait', 'waits')} more`] : []),
  ];
}

/** ", for 5 s more", empty when that time is over. */
export function forMore(until: number | undefined, now: number): string {
  return until === undefined || until <= now ? '' : `, for ${duration(until - now)} more`;
}
