/**
 * Standbys: tasks that are prepared (created, not started) besides the replicas, in slot 0. One that
 * is ready takes the slot of a task that ended or lost its node, and starts at once. That a task
 * crashes right after its start is a matter of the restart delay, not of standbys: they would be used
 * up as fast as they are made.
 */
import { rank, type Service, type Task, STANDBY_SLOT } from '@swarmd/model';

import type { Draft } from '../draft.ts';
import {
  byAge,
  endedByItself,
  isCurrent,
  isOver,
  isWanted,
  statusTime,
  taskName,
} from '../task-view.ts';
import { areWanted, exist } from '../words.ts';
import type { Enforcer } from './enforce.ts';
import { LOSS_TEXT } from './loss-text.ts';
import { addTask, goalOf } from './new-task.ts';

/** As many as the service wants, of its newest spec, on nodes that are well. */
export function keepStandbys(draft: Draft, service: Service, enforcer: Enforcer): void {
  const { mode, standby } = service.spec;
  const wanted = mode.kind === 'replicated' ? standby : 0;
  const present = draft.tasks().filter((task) => task.slot === STANDBY_SLOT);
  const fit: Task[] = [];
  for (const task of present.toSorted(byAge)) {
    if (!isWanted(task) || isOver(task)) continue;
    const flaw = flawOf(draft, service, { task, enforcer });
    if (flaw === undefined) fit.push(task);
    else dismiss(draft, task, flaw);
  }
  for (const task of fit.slice(wanted)) dismiss(draft, task, areWanted(wanted, 'standby'));
  const failed = forgetEnded(draft, present);
  if (fit.length >= wanted) return;
  const dueAt = failed === undefined ? 0 : statusTime(failed) + failed.spec.restart.delayMs;
  if (dueAt > draft.now) {
    const message = `the last standby of ${service.spec.name} could not be prepared; the restart delay passes first`;
    draft.waitUntil(dueAt, { code: 'standby-delay', message });
    return;
  }
  for (let made = fit.length; made < wanted; made += 1) {
    const because = draft.reason(
      'standby',
      `${areWanted(wanted, 'standby')}, ${exist(fit.length)}`,
    );
    addTask(draft, service, { slot: STANDBY_SLOT, because, isStandby: true });
  }
}

/** Why it cannot take a task's place any more; undefined when it can. */
function flawOf(
  draft: Draft,
  service: Service,
  candidate: { task: Task; enforcer: Enforcer },
): string | undefined {
  const { task, enforcer } = candidate;
  if (!isCurrent(task, service, draft.nodes)) return 'the service has a newer spec';
  const loss = draft.nodes.lossOf(task) ?? enforcer.lossOf(task);
  return loss && LOSS_TEXT[loss];
}

function dismiss(draft: Draft, task: Task, why: string): void {
  if (draft.dropIfNew(task)) return;
  draft.change(task, { desiredState: 'remove' }, draft.reason('standby-dismissed', why));
}

/** Ended standbys leave no history but the newest failure, for the pause before the next attempt. */
function forgetEnded(draft: Draft, present: readonly Task[]): Task | undefined {
  const ended = present.filter(isOver).toSorted(byAge);
  const failed = ended.findLast(endedByItself);
  for (const task of ended) {
    if (task === failed) {
      if (isWanted(task)) draft.stop(task, 'task-ended', `it could not be prepared`);
    } else if (task.desiredState !== 'remove') {
      draft.change(task, { desiredState: 'remove' }, draft.reason('standby-dismissed', 'it ended'));
    }
  }
  return failed;
}

/** A standby that can take the place of the task now. */
export function standbyFor(draft: Draft, service: Service, task: Task): Task | undefined {
  if (service.spec.standby === 0 || task.slot === STANDBY_SLOT) return undefined;
  if (!isCurrent(task, service, draft.nodes) || diedYoung(task)) return undefined;
  return draft
    .tasks()
    .filter(
      (one) =>
        one.slot === STANDBY_SLOT &&
        isWanted(one) &&
        !isOver(one) &&
        rank(one.status.state) >= rank('ready') &&
        isCurrent(one, service, draft.nodes) &&
        draft.nodes.lossOf(one) === undefined,
    )
    .toSorted(byAge)[0];
}

/** Of a task that no standby follows: why none does, if the service has any. */
export function whyNoStandby({ spec: { standby } }: Service, task: Task): string | undefined {
  if (standby === 0) return undefined;
  if (!diedYoung(task)) return 'no standby is ready';
  return `it ran for less than its restart delay (${task.spec.restart.delayMs / 1_000} s), so no standby takes over`;
}

function diedYoung(task: Task): boolean {
  if (!endedByItself(task)) return false;
  const { startedAt, status, spec } = task;
  return startedAt === undefined || status.timestamp - startedAt < spec.restart.delayMs;
}

/** `mustWait`: the task in the slot has not stopped yet. */
export function promote(
  draft: Draft,
  service: Service,
  pair: { standby: Task; task: Task; mustWait: boolean },
): void {
  const { standby, task, mustWait } = pair;
  draft.change(
    standby,
    {
      slot: task.slot,
      promotedAt: draft.now,
      ...(mustWait ? { startNotBefore: draft.now } : { desiredState: goalOf(service) }),
    },
    draft.reason('standby-promoted', `takes over from ${taskName(task)}`),
  );
}
