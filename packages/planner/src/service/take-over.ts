/**
 * Hands a slot from one task to the next. stop-first: the successor is prepared while the old task
 * goes on, then the old one stops, then the successor starts. start-first: the old one stops once
 * the successor runs. Then, whoever waits in "ready" and has nothing left to wait for may start.
 */
import { rank, waitsForNode, type Service, type Task } from '@swarmd/model';

import type { Draft } from '../draft.ts';
import { STOP_WAIT_MS } from '../limits.ts';
import { fitsWithout } from '../place/place.ts';
import { byAge, isCurrent, isOver, isWanted, taskName } from '../task-view.ts';
import { goalOf } from './new-task.ts';
import { updateConfigOf } from './update-state.ts';

export function takeOver(draft: Draft, service: Service): void {
  for (const tasks of draft.slots().values()) {
    if (tasks.length < 2) continue;
    const wanted = tasks.filter(isWanted).toSorted(byAge);
    const successor = wanted.findLast(
      (task) => !isOver(task) && isCurrent(task, service, draft.nodes),
    );
    if (wanted.length > 1 && successor !== undefined) {
      relieve(draft, service, { successor, olds: wanted.filter((task) => task !== successor) });
    }
  }
  for (const slot of draft.slots().values()) {
    for (const task of slot) {
      if (task.desiredState === 'ready' && !isOver(task))
        startWhenDue(draft, service, { task, slot });
    }
  }
}

function relieve(
  draft: Draft,
  service: Service,
  pair: { successor: Task; olds: readonly Task[] },
): void {
  const { successor, olds } = pair;
  const serving = olds.filter((old) => old.status.state === 'running');
  for (const old of olds) {
    if (!serving.includes(old)) stopOld(draft, old, successor);
  }
  if (serving.length === 0) return;
  if (updateConfigOf(service).order === 'start-first') {
    if (rank(successor.status.state) < rank('running')) return;
    for (const old of serving) stopOld(draft, old, successor);
    return;
  }
  const isReady = rank(successor.status.state) >= rank('ready');
  if (!isReady && !(waitsForNode(successor) && fitsWithout(draft, successor, serving))) return;
  for (const old of serving) {
    const message = isReady
      ? `${taskName(successor)} is ready to take over`
      : `${taskName(successor)} needs its place`;
    draft.stop(old, isReady ? 'update-ready' : 'update-room', message);
  }
  // From now on the successor waits for the old one to stop, and no longer than it is allowed to.
  draft.change(successor, { startNotBefore: Math.max(draft.now, successor.startNotBefore ?? 0) });
}

function stopOld(draft: Draft, old: Task, successor: Task): void {
  draft.stop(old, 'superseded', `${taskName(successor)} takes over`);
}

function startWhenDue(
  draft: Draft,
  service: Service,
  waiting: { task: Task; slot: readonly Task[] },
): void {
  const { task, slot } = waiting;
  const dueAt = task.startNotBefore ?? 0;
  if (dueAt > draft.now) {
    const message = `${taskName(task)} is prepared, and starts after the restart delay`;
    draft.waitUntil(dueAt, { code: 'restart-delay', message, taskId: task.id });
    return;
  }
  // On a node that is down nothing happens; on its own, the task will meet it again when that is back.
  const inTheWay = slot.filter(
    (other) =>
      other.id !== task.id &&
      !isOver(other) &&
      (other.nodeId === task.nodeId || !draft.nodes.isUnreachable(other)),
  );
  const stillWanted = inTheWay.some((other) => isWanted(other) && other.desiredState !== 'ready');
  const startsFirst =
    updateConfigOf(service).order === 'start-first' && isCurrent(task, service, draft.nodes);
  if (stillWanted && !startsFirst) return;
  const stopping = inTheWay.filter((other) => !isWanted(other));
  const patience = Math.max(0, ...stopping.map((other) => other.spec.container.stopGracePeriodMs));
  const giveUpAt = dueAt + STOP_WAIT_MS + patience;
  if (stopping.length > 0 && giveUpAt > draft.now) {
    const message = `${taskName(task)} starts when ${stopping.map(taskName).join(', ')} has stopped, or then`;
    draft.waitUntil(giveUpAt, { code: 'predecessor', message, taskId: task.id });
    return;
  }
  const why =
    stopping.length === 0
      ? draft.reason('start-due', 'nothing is left to wait for')
      : draft.reason('stop-timeout', `${taskName(stopping[0] ?? task)} has not stopped in time`);
  draft.change(task, { desiredState: goalOf(service) }, why);
}
