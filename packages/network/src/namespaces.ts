/** Work over many containers' namespaces, and the removal of one. */
import { workThrough } from '@swarmd/base';
import type { TaskId } from '@swarmd/model';

import { runSteps } from './apply/kernel.ts';
import { listNetns } from './apply/listing.ts';
import { taskNetns } from './desired/names.ts';
import type { LocalTask } from './local-task.ts';

/**
 * Does something to all containers whose namespaces are complete, `atOnce` at a time.
 * @throws the first failure, when all were tried.
 */
export async function forEachTask(
  tasks: Iterable<LocalTask>,
  atOnce: number,
  work: (task: LocalTask) => Promise<void>,
): Promise<void> {
  await workThrough(tasks, atOnce, async (task) => {
    const isMade = await task.made.then(
      () => true,
      () => false,
    );
    if (isMade) await work(task);
  });
}

/** Deletes a task's namespace if there is one. Its links follow when the kernel gets to it. */
export async function removeNamespace(taskId: TaskId): Promise<void> {
  const name = taskNetns(taskId);
  try {
    await runSteps([{ kind: 'delete-netns', name }]);
  } catch (error) {
    if ((await listNetns()).includes(name)) throw error;
  }
}
