/** What a node is to measure: its tasks of autoscaled services that run, or are about to. */
import type { TaskMeasure } from '@swarmd/api';
import { isTerminal, type NodeId } from '@swarmd/model';
import type { ReadView } from '@swarmd/store';

export function measuresOf(view: ReadView, nodeId: NodeId): TaskMeasure[] {
  const measures: TaskMeasure[] = [];
  for (const task of view.tasksByNode(nodeId)) {
    const policy = view.get('service', task.serviceId)?.spec.autoscale;
    if (policy === undefined || task.desiredState !== 'running') continue;
    if (isTerminal(task.status.state)) continue;
    measures.push({
      taskId: task.id,
      ...(policy.metric === undefined ? {} : { metric: policy.metric }),
    });
  }
  return measures.toSorted((a, b) => (a.taskId < b.taskId ? -1 : 1));
}
