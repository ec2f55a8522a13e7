/**
 * Moves tasks to where there is more room, as nodes have come or returned: one of the fullest place at
 * a time, its successor prepared on the emptiest node before it stops. Only where the service says so,
 * only while all is well, never more at a time than its budget and the update's parallelism, and only
 * moves that bring two places closer together, so that it ends.
 */
import type { Service, Task } from '@swarmd/model';

import type { Draft } from '../draft.ts';
import { NODE_FAILURES_WINDOW_MS } from '../limits.ts';
import { Placement } from '../place/place.ts';
import {
  byAge,
  endedByItself,
  isCurrent,
  isOver,
  isWanted,
  statusTime,
  taskName,
} from '../task-view.ts';
import { addTask } from './new-task.ts';
import { bestMove, type Move, type Standing } from './rebalance-move.ts';
import { movesAtOnce, rebalanceOf } from './rebalance-policy.ts';
import { isHalfway } from './update-state.ts';

export function rebalance(draft: Draft, service: Service): void {
  const limit = movesAtOnce(draft.view, service);
  if (limit === 0 || isHalfway(service, draft.tasks(), draft.nodes)) return;
  const standing = standingOf(draft, (task) => isCurrent(task, service, draft.nodes));
  const { settled, underWay } = standing;
  const { intervalMs } = rebalanceOf(draft.view, service);
  if (underWay.length >= limit || isTooEarly(draft, service, intervalMs)) return;
  const [sample] = settled;
  if (sample === undefined) return;
  const placement = new Placement(draft, sample);
  const move = bestMove(draft, standing, placement.bestOfEachBranch());
  if (move !== undefined) start(draft, service, { move, placement });
}

export function standingOf(draft: Draft, isAsWanted: (task: Task) => boolean): Standing {
  const settled: Task[] = [];
  const underWay: Task[] = [];
  for (const tasks of draft.slots().values()) {
    const wanted = tasks.filter(isWanted);
    const newest = wanted.length > 1 ? wanted.toSorted(byAge).at(-1) : wanted[0];
    if (newest === undefined) continue;
    const isWell = wanted.length === 1 && newest.status.state === 'running' && isAsWanted(newest);
    if (isWell && !tasks.some((task) => isStopping(draft, task))) settled.push(newest);
    else underWay.push(newest);
  }
  return { settled, underWay };
}

/** It may still serve, and holds what it reserved; one that nobody hears of is not waited for. */
function isStopping(draft: Draft, task: Task): boolean {
  return !isWanted(task) && !isOver(task) && !draft.nodes.isUnreachable(task);
}

/** Soon after the last move, or not long after one that failed. */
function isTooEarly(draft: Draft, service: Service, intervalMs: number): boolean {
  let dueAt = 0;
  for (const task of draft.tasks()) {
    if (task.because[0]?.code !== 'rebalanced') continue;
    dueAt = Math.max(dueAt, task.meta.createdAt + intervalMs);
    if (isOver(task) && endedByItself(task)) {
      dueAt = Math.max(dueAt, statusTime(task) + NODE_FAILURES_WINDOW_MS);
    }
  }
  if (dueAt <= draft.now) return false;
  const message = `time passes between two moves of ${service.spec.name}, and longer after one that failed`;
  draft.waitUntil(dueAt, { code: 'rebalance-interval', message });
  return true;
}

function start(
  draft: Draft,
  service: Service,
  { move, placement }: { move: Move; placement: Placement },
): void {
  const { task, to } = move;
  const name = to.description?.hostname ?? to.id;
  const because = draft.reason(
    'rebalanced',
    `replaces ${taskName(task)}: node ${name} has more room`,
  );
  const successor = addTask(draft, service, {
    slot: task.slot,
    because,
    ...(service.spec.update.order === 'start-first' ? {} : { startNotBefore: draft.now }),
  });
  if (!placement.put(successor, to)) draft.dropIfNew(successor);
}
