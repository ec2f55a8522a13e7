/** Task statuses on their way into the store: from any manager to the leader, who decides on each. */
import type { StatusReport } from '@swarmd/api';
import type { Clock } from '@swarmd/base';
import { isTerminal, type ServiceId } from '@swarmd/model';
import { acceptStatus } from '@swarmd/planner';
import type { Store, Transaction } from '@swarmd/store';

import type { SharedBarrier } from '../replication/shared-barrier.ts';

export interface StatusIntake {
  readonly store: Store;
  readonly barrier: SharedBarrier;
  readonly clock: Clock;
  /** Writes what follows from the ends of tasks of these services. */
  readonly services: { planWith(tx: Transaction, ends: ReadonlySet<ServiceId>): void };
}

/**
 * Writes what the leader accepts; resolves once all of it is settled and may be acknowledged. The rest
 * is dropped: of unknown tasks, of tasks of other nodes, and what would take a task back. Repeating them
 * cannot help. But that a task is not known here, or not to be on that node, may be this replica's
 * fault: another manager may have applied what makes it so, and told the agent. So nothing is dropped
 * for that before this manager has confirmed that it still leads and has everything.
 */
export async function takeStatuses(
  { store, barrier, clock, services }: StatusIntake,
  reports: readonly StatusReport[],
  signal: AbortSignal,
): Promise<void> {
  const write = (tx: Transaction): boolean => {
    const { isKnown, ended } = writeStatuses(tx, reports, clock.now());
    if (ended.size > 0) services.planWith(tx, ended);
    return isKnown;
  };
  if (await store.update(write, signal, { isPatient: true })) return;
  await barrier.wait();
  await store.update(write, signal, { isPatient: true });
}

/**
 * @returns whether every report is of a task that is known to be on the node that reports, and the services whose
 * tasks have ended with them.
 */
function writeStatuses(
  tx: Transaction,
  reports: readonly StatusReport[],
  now: number,
): { isKnown: boolean; ended: ReadonlySet<ServiceId> } {
  let isKnown = true;
  const ended = new Set<ServiceId>();
  for (const { nodeId, updates } of reports) {
    for (const { taskId, status } of updates) {
      const task = tx.get('task', taskId);
      isKnown &&= task?.nodeId === nodeId;
      if (task === undefined) continue;
      const intake = acceptStatus(task, { status, nodeId, now });
      if (intake.kind !== 'accepted') continue;
      tx.put('task', intake.task);
      const { state } = intake.task.status;
      if (isTerminal(state) && !isTerminal(task.status.state)) ended.add(task.serviceId);
    }
  }
  return { isKnown, ended };
}
