/**
 * Canary steps: where an update stops on its way, until somebody says that it may go on or until it
 * has been well for long enough. Where it stands is stored with the service (`updateStatus.canary`);
 * whether a step is complete is read from the tasks. While steps are before it, every failure counts,
 * of the slots of the step, and new slots start as the old ones are.
 */
import { rank, type CanaryProgress, type CanaryStep, type Service, type Task } from '@swarmd/model';

import type { Draft } from '../draft.ts';
import { endedByItself, isOver, isWanted, sameSpec } from '../task-view.ts';
import { needsTask, progressOf, type SlotProgress } from './update-state.ts';

/** True while a step is before the update. */
export function isCanary(service: Service): boolean {
  return stepOf(service) !== undefined;
}

function stepOf({ spec, updateStatus }: Service): CanaryStep | undefined {
  if (updateStatus?.state !== 'updating') return undefined;
  return spec.update.canary[updateStatus.canary?.passed ?? 0];
}

/** How many of so many slots shall run the new spec when the step is complete. */
export function sizeOf({ percent, tasks = 0 }: CanaryStep, slots: number): number {
  return Math.min(slots, percent === undefined ? tasks : Math.ceil((slots * percent) / 100));
}

/** Slots whose failures the update is judged by: those of the step, else all. */
export function judgedSlots(service: Service, slots: number): number {
  const step = stepOf(service);
  return step === undefined ? slots : sizeOf(step, slots);
}

/** "step 1 of 3"; undefined when no step is before the update. */
export function stepName(service: Service): string | undefined {
  if (!isCanary(service)) return undefined;
  const { canary } = service.spec.update;
  return `step ${(service.updateStatus?.canary?.passed ?? 0) + 1} of ${canary.length}`;
}

/**
 * Passes the steps that are complete and have been waited for, and notes what is waited for now.
 * @returns how many slots may have the new spec as it stands.
 */
export function passSteps(draft: Draft, service: Service, slots: readonly SlotProgress[]): number {
  if (!isCanary(service)) return Infinity;
  const { canary: steps } = service.spec.update;
  const total = slots.length;
  let { passed, waitsSince } = service.updateStatus?.canary ?? { passed: 0 };
  for (;;) {
    const step = steps[passed];
    if (step === undefined) break;
    const isEmpty = steps.slice(0, passed).some((one) => sizeOf(one, total) >= sizeOf(step, total));
    if (!isEmpty) {
      if (!isComplete(slots, sizeOf(step, total))) {
        waitsSince = undefined;
        break;
      }
      waitsSince ??= draft.now;
      if (step.healthMs === 0 || waitsSince + step.healthMs > draft.now) break;
    }
    passed += 1;
    waitsSince = undefined;
  }
  const step = steps[passed];
  const until =
    step === undefined || step.healthMs === 0 || waitsSince === undefined
      ? undefined
      : waitsSince + step.healthMs;
  const canary: CanaryProgress = {
    passed,
    ...(waitsSince === undefined ? {} : { waitsSince }),
    ...(until === undefined ? {} : { until }),
  };
  const message = describe(service, canary, total);
  if (until !== undefined) draft.waitUntil(until, { code: 'update-health', message });
  note(draft, service, { canary, message });
  return step === undefined ? Infinity : sizeOf(step, total);
}

/** So many slots have their new task, and it runs, or its failure was put up with. */
function isComplete(slots: readonly SlotProgress[], size: number): boolean {
  const taken = slots.filter((slot) => !needsTask(slot));
  if (taken.length < size) return false;
  return taken.every(
    ({ attempts, successors }) =>
      attempts.length === 0 || successors.some(serves) || attempts.some(endedByItself),
  );
}

function serves(task: Task): boolean {
  return isWanted(task) && task.status.state === 'running';
}

function describe(service: Service, { passed, ...wait }: CanaryProgress, total: number): string {
  const { canary: steps } = service.spec.update;
  const step = steps[passed];
  if (step === undefined) return 'update in progress';
  const size = sizeOf(step, total);
  const what = `step ${passed + 1} of ${steps.length}: ${size} of ${total} ${total === 1 ? 'task' : 'tasks'}`;
  if (wait.waitsSince === undefined)
    return `${what} ${size === 1 ? 'is' : 'are'} to run the new spec`;
  const run = `${what} ${size === 1 ? 'runs' : 'run'} the new spec`;
  return step.healthMs === 0
    ? `${run}; waits for approval (swarmctl service update --continue ${service.spec.name})`
    : `${run}; goes on after ${step.healthMs / 1_000} s without a failure`;
}

function note(
  draft: Draft,
  service: Service,
  { canary, message }: { canary: CanaryProgress; message: string },
): void {
  const { updateStatus } = service;
  if (updateStatus === undefined) return;
  if (updateStatus.message === message && sameSpec(updateStatus.canary, canary)) return;
  const { until } = canary;
  draft.setService(
    { ...service, updateStatus: { ...updateStatus, canary, message } },
    draft.reason('update-step', message, until === undefined ? {} : { until }),
  );
}

/**
 * What new slots are made from while steps are before the update: they start as the others are, and
 * are updated in their turn, so that no more than a step allows run the new spec. Undefined: the spec
 * of the service, as nothing else is there.
 */
export function sourceOfNewSlots(draft: Draft, service: Service): Task | undefined {
  if (!isCanary(service)) return undefined;
  const worth = (task: Task): number => (isOver(task) ? -1 : rank(task.status.state));
  return progressOf(draft, service)
    .flatMap((slot) => slot.outdated)
    .toSorted((a, b) => worth(b) - worth(a) || b.specVersion - a.specVersion)[0];
}
