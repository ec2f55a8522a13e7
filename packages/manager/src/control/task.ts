/** Control of tasks: read only, tasks are made by the managers. */
import type { Control } from '@swarmd/api';
import type { Task } from '@swarmd/model';
import { nodeVerdicts } from '@swarmd/planner';
import type { ReadView } from '@swarmd/store';

import type { ControlContext } from './context.ts';
import { matchesTask } from './filter.ts';
import { notFound } from './validate.ts';

export function taskControl(
  context: ControlContext,
): Pick<Control, 'getTask' | 'listTasks' | 'listNodeVerdicts'> {
  return {
    getTask: async ({ id }, call) => {
      const task = (await context.read(call)).get('task', id);
      if (task === undefined) throw notFound('task', id);
      return task;
    },
    listTasks: async ({ filter }, call) => {
      const view = await context.read(call);
      return [...candidates(view, filter)].filter((task) => matchesTask(filter, task));
    },
    listNodeVerdicts: async ({ taskId }, call) => {
      const view = await context.read(call);
      const task = view.get('task', taskId);
      if (task === undefined) throw notFound('task', taskId);
      return nodeVerdicts(view, task).map(({ node: { id }, lacks, detail, cure = [] }) => {
        if (lacks === undefined) return { nodeId: id, cure };
        return { nodeId: id, lacks: detail === undefined ? lacks : `${lacks}: ${detail}`, cure };
      });
    },
  };
}

/** The smallest set that an index offers. */
function candidates(
  view: ReadView,
  filter: Parameters<Control['listTasks']>[0]['filter'],
): Iterable<Task> {
  const { serviceIds = [], nodeIds = [] } = filter;
  const [serviceId] = serviceIds;
  if (serviceIds.length === 1 && serviceId !== undefined) return view.tasksByService(serviceId);
  const [nodeId] = nodeIds;
  if (nodeIds.length === 1 && nodeId !== undefined) return view.tasksByNode(nodeId);
  return view.list('task');
}
