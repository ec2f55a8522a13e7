/** What a node is to measure: its tasks of autoscaled services that run, or are about to. */
import type { TaskMeasure } from '@swarmd/api';
import { isTerminal, type NodeId } from '@swarmd/model';
import type { ReadView } from '@swarmd/store';

/** The same object for all that measure nothing, which are most. */
const NOTHING: readonly TaskMeasure[] = [];

export function measuresOf(view: ReadView, nodeId: NodeId): readonly TaskMeasure[] {
  let measures: TaskMeasure[] | undefined;
  for (const task of view.tasksByNode(nodeId)) {
    const policy = view.get('service', task.serviceId)?.spec.autoscale;
    if (policy === undefined || task.desiredState !== 'running') continue;
    if (isTerminal(task.status.state)) continue;
    (measures ??= []).push({
      taskId: task.id,
      ...(policy.metric === undefined ? {} : { metric: policy.metric }),
    });
  }
  if (measures === undefined) return NOTHING;
  return measures.sort((a, b) => (a.taskId < b.taskId ? -1 : 1));
}
