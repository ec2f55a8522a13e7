/** What a manager does with a status that an agent reports. */
import { isTerminal, rank, type NodeId, type Task, type TaskStatus } from '@swarmd/model';

import { sameSpec } from './task-view.ts';

export type StatusIntake =
  | { readonly kind: 'accepted'; readonly task: Task }
  /** Nothing to write: it is known, or older than what is known. */
  | { readonly kind: 'ignored'; readonly reason: string }
  /** The reporter had no right to say so. */
  | { readonly kind: 'refused'; readonly reason: string };

/**
 * Agents own the states from "accepted" on, of tasks of their own node; a task that has ended stays
 * as it ended. `update.now` becomes `appliedAt`.
 */
export function acceptStatus(
  task: Task,
  update: { status: TaskStatus; nodeId: NodeId; now: number },
): StatusIntake {
  const { status, nodeId, now } = update;
  if (task.nodeId !== nodeId) {
    return { kind: 'refused', reason: `task ${task.id} is not a task of node ${nodeId}` };
  }
  if (rank(status.state) < rank('accepted') || rank(status.state) >= rank('remove')) {
    return { kind: 'refused', reason: `"${status.state}" is not for agents to report` };
  }
  const known = task.status;
  if (isTerminal(known.state) && status.state !== known.state) {
    return { kind: 'ignored', reason: `task ${task.id} has ended: ${known.state}` };
  }
  if (rank(status.state) < rank(known.state)) {
    return { kind: 'ignored', reason: `task ${task.id} is past "${status.state}"` };
  }
  const { appliedAt } = known;
  if (status.state === known.state && sameSpec(known, { ...status, appliedAt })) {
    return { kind: 'ignored', reason: 'nothing new' };
  }
  const startsNow = status.state === 'running' && task.startedAt === undefined;
  return {
    kind: 'accepted',
    task: {
      ...task,
      status: { ...status, appliedAt: now },
      ...(startsNow ? { startedAt: status.timestamp } : {}),
    },
  };
}
