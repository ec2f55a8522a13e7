/**
 * Rolling updates and rollbacks. `judgeUpdate` decides whether one is under way and whether it may
 * go on; `advanceUpdate` gives the next slots a task of the new spec and notices the end.
 */
import { rank, type Service, type UpdateState } from '@swarmd/model';

import { allocateEndpoint } from '../allocate/endpoint.ts';
import type { Draft } from '../draft.ts';
import type { ReasonCode } from '../reasons.ts';
import { missingFile } from '../files/versions.ts';
import { withPresent } from '../service-change.ts';
import { byAge, isCurrent, isOver, isWanted, taskName } from '../task-view.ts';
import { isCanary, judgedSlots, passSteps, stepName } from './canary.ts';
import { addTask } from './new-task.ts';
import { stuckSlot } from './progress-deadline.ts';
import {
  failedEarly,
  isHalted,
  needsTask,
  progressOf,
  settledAt,
  updateConfigOf,
  type SlotProgress,
} from './update-state.ts';

const UNDER_WAY: readonly UpdateState[] = ['updating', 'rollback-started'];

function isUnderWay(service: Service): boolean {
  return service.updateStatus !== undefined && UNDER_WAY.includes(service.updateStatus.state);
}

/** Begins an update if one is needed, and pauses or rolls back one that fails. */
export function judgeUpdate(draft: Draft, service: Service): Service {
  if (isHalted(service)) return service;
  const status = service.updateStatus;
  if (status === undefined || !isUnderWay(service)) {
    // The most frequent case by far, and a quick one: everything is of the present spec.
    const isSettled = draft.tasks().every((task) => isCurrent(task, service, draft.nodes));
    const isNeeded = !isSettled && progressOf(draft, service).some(needsTask);
    return isNeeded ? begin(draft, service) : service;
  }
  const { monitorMs, maxFailureRatio } = updateConfigOf(service);
  const slots = progressOf(draft, service).filter(
    (slot) => slot.attempts.length > 0 || slot.outdated.length > 0,
  );
  // As long as a step is before it, a failure counts however late it comes.
  const watchMs = isCanary(service) ? Infinity : monitorMs;
  const failed = slots.flatMap((slot) => {
    const task = slot.attempts.find((one) => failedEarly(one, watchMs));
    return task === undefined ? [] : [task];
  });
  const last = failed.toSorted((a, b) => a.status.timestamp - b.status.timestamp).at(-1);
  if (last === undefined || failed.length / judgedSlots(service, slots.length) <= maxFailureRatio) {
    const stuck = stuckSlot(draft, service, slots);
    return stuck === undefined ? service : react(draft, service, { cause: stuck, isStuck: true });
  }
  const detail = last.status.error === '' ? last.status.state : last.status.error;
  const cause = `task ${taskName(last)} failed or ended early: ${detail}`;
  return react(draft, service, { cause, isStuck: false });
}

function begin(draft: Draft, service: Service): Service {
  return enter(draft, service, {
    state: 'updating',
    code: 'update-started',
    message: 'update in progress',
  });
}

function enter(
  draft: Draft,
  service: Service,
  next: { state: UpdateState; code: ReasonCode; message: string },
): Service {
  const { state, code, message } = next;
  const isStart = UNDER_WAY.includes(state);
  const isEnd = state === 'completed' || state === 'rollback-completed';
  const step = state === 'paused' ? service.updateStatus?.canary : undefined;
  const startedAt = isStart ? draft.now : (service.updateStatus?.startedAt ?? draft.now);
  const updateStatus = {
    state,
    startedAt,
    message,
    ...(isEnd ? { completedAt: draft.now } : {}),
    ...(step === undefined ? {} : { canary: { passed: step.passed } }),
  };
  draft.setService({ ...service, updateStatus }, draft.reason(code, message));
  return draft.service ?? service;
}

/** One that is stuck cannot go on, whatever is said of failures. */
function react(
  draft: Draft,
  service: Service,
  { cause, isStuck }: { cause: string; isStuck: boolean },
): Service {
  if (service.updateStatus?.state === 'rollback-started') {
    // A rollback is never rolled back: it pauses, and stays so until the user writes a new spec.
    if (service.spec.rollback.failureAction === 'continue' && !isStuck) return service;
    return enter(draft, service, {
      state: 'rollback-paused',
      code: 'update-paused',
      message: `rollback paused: ${cause}`,
    });
  }
  const action = service.spec.update.failureAction;
  const step = stepName(service);
  const at = step === undefined ? '' : ` at ${step}`;
  if (action === 'continue' && !isStuck) return service;
  const rolledBack =
    action === 'rollback' ? rollBack(draft, service, `${at}: ${cause}`) : undefined;
  return (
    rolledBack ??
    enter(draft, service, {
      state: 'paused',
      code: 'update-paused',
      message: `update paused${at}: ${cause}`,
    })
  );
}

/** Undefined when there is nothing to go back to, or what it needs is gone: its ports, its files. */
function rollBack(draft: Draft, service: Service, cause: string): Service | undefined {
  const { previousSpec, ...rest } = service;
  if (previousSpec === undefined || missingFile(draft.view, previousSpec) !== undefined) {
    return undefined;
  }
  const endpoint = allocateEndpoint(draft.view, previousSpec, service);
  if (endpoint.kind === 'refused') return undefined;
  const next: Service = {
    ...rest,
    spec: previousSpec,
    history: withPresent(service, draft.now),
    specVersion: service.meta.version,
    endpoint: endpoint.value,
  };
  return enter(draft, next, {
    state: 'rollback-started',
    code: 'update-failed',
    message: `rolling back${cause}`,
  });
}

/**
 * Successors of successors: when a new spec arrives in the middle of an update, a slot may have two
 * tasks that are both outdated. The one that serves stays until its turn comes, the others go; also
 * where nothing may start, on a node that is paused.
 */
export function dropOvertaken(draft: Draft, service: Service): void {
  for (const tasks of draft.slots().values()) {
    if (tasks.length < 2) continue;
    const alive = tasks.filter(
      (task) => isWanted(task) && !isOver(task) && !isCurrent(task, service, draft.nodes),
    );
    if (alive.length < 2) continue;
    const [keep] = alive.toSorted(
      (a, b) => rank(b.status.state) - rank(a.status.state) || byAge(b, a),
    );
    for (const task of alive) {
      if (task !== keep) draft.stop(task, 'superseded', 'the service has a newer spec');
    }
  }
}

/** Gives as many slots a task of the new spec as may be in flight together. */
export function advanceUpdate(draft: Draft, service: Service): void {
  const status = service.updateStatus;
  if (status === undefined || !isUnderWay(service)) return;
  const slots = progressOf(draft, service);
  const { parallelism, order } = updateConfigOf(service);
  const next = slots.filter(needsTask).toSorted((a, b) => urgency(a) - urgency(b));
  const idle = next.filter((slot) => !slot.hasRun);
  const live = next.filter((slot) => slot.hasRun);
  const busy = slots.filter((slot) => isBusy(draft, service, slot)).length;
  const room = parallelism === 0 ? live.length : Math.max(0, parallelism - busy);
  const allowed = Math.max(0, passSteps(draft, service, slots) - (slots.length - next.length));
  for (const slot of [...idle, ...live.slice(0, room)].slice(0, allowed)) {
    const old = slot.outdated.map(taskName).join(', ');
    for (const task of slot.outdated) draft.dropIfNew(task);
    addTask(draft, service, {
      slot: slot.number,
      because: draft.reason('update', `replaces ${old}: the service has a newer spec`),
      ...(order === 'start-first' ? {} : { startNotBefore: draft.now }),
    });
  }
  const reached = draft.service ?? service;
  if (next.length === 0 && !isCanary(reached)) finishWhenOver(draft, reached, slots);
}

/** Slots that serve nobody are updated first. */
function urgency(slot: SlotProgress): number {
  return slot.outdated.some((task) => task.status.state === 'running') ? 1 : 0;
}

/**
 * In flight: its new task neither runs nor has failed, or the delay after that is not over. Slots
 * that never ran anything do not count: there is nothing to lose in them.
 */
function isBusy(draft: Draft, service: Service, slot: SlotProgress): boolean {
  if (!slot.hasRun) return false;
  // The same was tried before, perhaps: by an earlier update, and there was a rollback in between.
  const newest = Math.max(...slot.successors.map((task) => task.specVersion));
  const successors = slot.successors.filter((task) => task.specVersion === newest);
  const settled = settledAt(successors);
  if (settled === undefined) return successors.some(isWanted);
  const freeAt = settled + updateConfigOf(service).delayMs;
  if (freeAt <= draft.now) return false;
  const message = `${service.spec.name}.${slot.number} is updated; the delay passes before the next one`;
  draft.waitUntil(freeAt, { code: 'update-delay', message });
  return true;
}

function finishWhenOver(draft: Draft, service: Service, slots: readonly SlotProgress[]): void {
  const { monitorMs } = updateConfigOf(service);
  let doneAt = 0;
  for (const slot of slots) {
    if (slot.attempts.length === 0) continue;
    const settled = settledAt(slot.attempts);
    // Wakes when the task's status changes.
    if (settled === undefined) return;
    const running = slot.attempts.findLast((task) => task.status.state === 'running');
    const since = running === undefined ? settled : (running.startedAt ?? running.status.timestamp);
    // One millisecond more: a failure at the very end of the monitoring time still counts.
    doneAt = Math.max(doneAt, since + monitorMs + 1);
  }
  if (doneAt > draft.now) {
    const message = `the new tasks of ${service.spec.name} are watched for failures`;
    draft.waitUntil(doneAt, { code: 'update-monitor', message });
    return;
  }
  const isRollback = service.updateStatus?.state === 'rollback-started';
  enter(draft, service, {
    state: isRollback ? 'rollback-completed' : 'completed',
    code: 'update-completed',
    message: `${isRollback ? 'rollback' : 'update'} completed${remainder(slots)}`,
  });
}

/** Slots whose new task failed before it could take over: the old one is still there. */
function remainder(slots: readonly SlotProgress[]): string {
  const kept = slots.filter((slot) =>
    slot.outdated.some((task) => isWanted(task) && task.status.state === 'running'),
  ).length;
  return kept === 0
    ? ''
    : `; ${kept} of ${slots.length} slots ${kept === 1 ? 'keeps its' : 'keep their'} old task, as the new one failed`;
}
