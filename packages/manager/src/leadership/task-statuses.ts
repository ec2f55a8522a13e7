/** Task statuses on their way into the store: from any manager to the leader, who decides on each. */
import type { StatusReport } from '@swarmd/api';
import { acceptStatus } from '@swarmd/planner';
import type { Transaction } from '@swarmd/store';

/**
 * Writes what the leader accepts. The rest is dropped: of unknown tasks, of tasks of other nodes, and
 * what would take a task back. Repeating them cannot help.
 */
export function writeStatuses(
  tx: Transaction,
  reports: readonly StatusReport[],
  now: number,
): void {
  for (const { nodeId, updates } of reports) {
    for (const { taskId, status } of updates) {
      const task = tx.get('task', taskId);
      if (task === undefined) continue;
      const intake = acceptStatus(task, { status, nodeId, now });
      if (intake.kind === 'accepted') tx.put('task', intake.task);
    }
  }
}
