/** Task statuses on their way into the store: from any manager to the leader, who decides on each. */
import type { TaskStatusUpdate } from '@swarmd/api';
import type { NodeId } from '@swarmd/model';
import { acceptStatus } from '@swarmd/planner';
import type { Transaction } from '@swarmd/store';

export interface StatusReport {
  readonly nodeId: NodeId;
  readonly updates: readonly TaskStatusUpdate[];
}

/**
 * Writes what the leader accepts. The rest is dropped: of unknown tasks, of tasks of other nodes, and
 * what would take a task back. Repeating them cannot help.
 */
export function writeStatuses(tx: Transaction, report: StatusReport, now: number): void {
  const { nodeId, updates } = report;
  for (const { taskId, status } of updates) {
    const task = tx.get('task', taskId);
    if (task === undefined) continue;
    const intake = acceptStatus(task, { status, nodeId, now });
    if (intake.kind === 'accepted') tx.put('task', intake.task);
  }
}
