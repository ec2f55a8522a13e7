/**
 * One task on every node that suits. The slot is the node's number, so that all that is said of
 * slots (restarts, updates, history) holds here too.
 *
 * A node that is down keeps its task: it can run nowhere else, and may well be running. A paused node
 * keeps its task and gets no new one. A node that is drained, or no longer meets the constraints,
 * loses its task; of a node that was removed everything is forgotten.
 */
import type { Node, Service, Task } from '@swarmd/model';

import type { Draft } from '../draft.ts';
import { PLAN_TASKS_MAX } from '../limits.ts';
import { byAge, compliance, isOver, isWanted } from '../task-view.ts';
import { sourceOfNewSlots } from './canary.ts';
import { addTask } from './new-task.ts';
import { slotPolicy } from './slot-policy.ts';

/** Stops what must not be where it is. */
export function leaveNodes(draft: Draft, service: Service): void {
  const complies = compliance(service.spec.task);
  for (const [slot, tasks] of draft.slots()) {
    const node = draft.nodes.numbered(slot);
    for (const task of tasks) {
      if (node === undefined || isOfAnother(task, node)) forget(draft, task);
      else if (isOver(task)) continue;
      else if (node.spec.availability === 'drain') {
        draft.stop(task, 'node-drained', 'its node is being drained');
      } else if (!complies(node)) {
        draft.stop(task, 'node-unsuitable', 'its node no longer meets the constraints');
      }
    }
  }
}

/** The number has passed to a new node. */
function isOfAnother(task: Task, node: Node): boolean {
  return task.nodeId !== undefined && task.nodeId !== node.id;
}

function forget(draft: Draft, task: Task): void {
  if (task.desiredState === 'remove') return;
  const why = draft.reason('node-removed', 'its node was removed from the cluster');
  draft.change(task, { desiredState: 'remove' }, why);
}

/** Starts what is missing. */
export function coverNodes(draft: Draft, service: Service): void {
  const policy = slotPolicy(draft, service);
  const slots = draft.slots();
  const from = sourceOfNewSlots(draft, service);
  let made = 0;
  for (const node of draft.nodes.openTo(service.spec.task)) {
    const tasks = (slots.get(node.index) ?? []).toSorted(byAge);
    const staying = tasks.filter((task) => task.desiredState !== 'remove');
    const newest = staying.at(-1);
    if (staying.some(isWanted)) continue;
    if (newest !== undefined && policy.rests(newest, staying)) continue;
    if (made === PLAN_TASKS_MAX) {
      draft.askAgainAt(draft.now);
      return;
    }
    made += 1;
    const name = node.description?.hostname ?? node.id;
    const leaving = tasks.some((task) => !isOver(task));
    addTask(draft, service, {
      slot: node.index,
      because: draft.reason('node-added', `node ${name} suits and has no task of the service`),
      ...(from === undefined ? {} : { from }),
      ...(leaving ? { startNotBefore: draft.now } : {}),
    });
  }
}
