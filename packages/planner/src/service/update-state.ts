/** What the stored objects say about a rolling update: no other memory of it exists. */
import {
  isTerminal,
  type Service,
  type Task,
  type UpdateConfig,
  type UpdateState,
} from '@swarmd/model';

import type { Draft } from '../draft.ts';
import type { NodeLookup } from '../node-lookup.ts';
import { slotPolicy } from './slot-policy.ts';
import { byAge, endedByItself, isCurrent, isOver, isWanted, statusTime } from '../task-view.ts';

/** The configuration that applies now: rolling back has its own. */
export function updateConfigOf(service: Service): UpdateConfig {
  const isRollback = service.updateStatus?.state.startsWith('rollback') ?? false;
  return isRollback ? service.spec.rollback : service.spec.update;
}

/** One is under way, or halted and waits for its user. */
function isUpdating({ updateStatus }: Service): boolean {
  const state = updateStatus?.state;
  return state !== undefined && state !== 'completed' && state !== 'rollback-completed';
}

/**
 * Tasks of two specs are there, or may be: nothing else moves meanwhile. One that was paused is no more
 * than a note once every task is of the present spec: it goes with the user's next spec.
 */
export function isHalfway(
  service: Service,
  tasks: Iterable<Task>,
  nodes: Pick<NodeLookup, 'of'>,
): boolean {
  if (!isUpdating(service)) return false;
  if (!isHalted(service)) return true;
  for (const task of tasks) {
    if (isWanted(task) && !isCurrent(task, service, nodes)) return true;
  }
  return false;
}

const HALTED: readonly UpdateState[] = ['paused', 'rollback-paused'];

/** It goes on when its user has written a new spec. */
export function isHalted({ updateStatus }: Service): boolean {
  return updateStatus !== undefined && HALTED.includes(updateStatus.state);
}

export interface SlotProgress {
  readonly number: number;
  /** Wanted tasks of an older spec. */
  readonly outdated: readonly Task[];
  /** Tasks as the service wants them that came after the last outdated one, oldest first. */
  readonly successors: readonly Task[];
  /** Tasks made since the service has its spec, ended ones included, oldest first. */
  readonly attempts: readonly Task[];
  /** A task of the new spec is wanted, or was tried and is not tried again. */
  readonly isTaken: boolean;
  /** Some task of the slot has run: there may be something to lose. */
  readonly hasRun: boolean;
}

/**
 * How far each slot has come, by slot number; of global services, only those that can be updated now.
 * "Since" goes by `specVersion`, never by time: the clocks of two leaders may differ.
 */
export function progressOf(draft: Draft, service: Service): SlotProgress[] {
  const progress: SlotProgress[] = [];
  const policy = slotPolicy(draft, service);
  for (const [number, all] of draft.slots()) {
    if (!policy.mayStart(number)) continue;
    const tasks = all.filter((task) => task.desiredState !== 'remove').toSorted(byAge);
    if (tasks.length === 0) continue;
    const current = tasks.filter((task) => isCurrent(task, service, draft.nodes));
    const wanted = tasks.filter(isWanted);
    const newest = tasks.at(-1);
    const isAtRest = wanted.length === 0 && newest !== undefined && policy.rests(newest, tasks);
    const atRest = isAtRest ? [newest] : [];
    progress.push({
      number,
      outdated: [...wanted, ...atRest].filter((task) => !current.includes(task)),
      successors: tasks.slice(tasks.findLastIndex((task) => !current.includes(task)) + 1),
      attempts: current.filter((task) => task.specVersion === service.specVersion),
      hasRun: tasks.some((task) => task.startedAt !== undefined),
      isTaken:
        current.some(isWanted) ||
        current.some(
          (task) => task === newest && isOver(task) && task.specVersion === service.specVersion,
        ),
    });
  }
  return progress.toSorted((a, b) => a.number - b.number);
}

export function needsTask(slot: SlotProgress): boolean {
  return slot.outdated.length > 0 && !slot.isTaken;
}

/**
 * When the first of the tasks was known to run or to have failed; undefined: not yet. One that was
 * stopped or lost before it ran has shown nothing.
 */
export function settledAt(attempts: readonly Task[]): number | undefined {
  const times = attempts
    .filter((task) => task.startedAt !== undefined || endedByItself(task))
    .map((task) => task.startedAt ?? statusTime(task));
  return times.length === 0 ? undefined : Math.min(...times);
}

/** Ended by itself before it ran for the monitoring time. */
export function failedEarly(task: Task, monitorMs: number): boolean {
  if (!isTerminal(task.status.state) || !endedByItself(task)) return false;
  return task.startedAt === undefined || task.status.timestamp - task.startedAt <= monitorMs;
}
