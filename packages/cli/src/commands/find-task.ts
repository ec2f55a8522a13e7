/** From what people type to a task: its id, the beginning of it, or "service.slot" of one that runs. */
import { resolve, type Kind } from '@swarmd/client';
import { STANDBY_SLOT, type Task } from '@swarmd/model';

import type { Context } from '../context.ts';

/** "web.2"; "web.standby" before it has a slot. */
export const taskName = (task: Task): string =>
  `${task.serviceName}.${task.slot === STANDBY_SLOT ? 'standby' : task.slot}`;

export async function findTask(context: Context, reference: string): Promise<Task> {
  const { control } = await context.cluster();
  const running = await runningOf(context, reference);
  if (running !== undefined) return running;
  const kind: Kind<Task> = {
    noun: 'task',
    list: (request, call) => control.listTasks(request, call),
    nameOf: taskName,
  };
  return resolve(kind, reference, context.call);
}

/** Of the tasks of one slot, the one that is meant: earlier ones keep the name. */
async function runningOf(context: Context, name: string): Promise<Task | undefined> {
  const { control } = await context.cluster();
  const tasks = await control.listTasks({ filter: { names: [name] } }, context.call);
  const active = tasks.filter(
    (task) =>
      taskName(task) === name && (task.desiredState === 'running' || task.desiredState === 'ready'),
  );
  return active.length === 1 ? active[0] : undefined;
}
