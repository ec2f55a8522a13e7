/** Work over many containers' namespaces, and the removal of one. */
import { listNetns, runSteps } from './apply/kernel.ts';
import { detachSteps, type AttachmentNote } from './desired/attachment.ts';
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
  const queue = [...tasks].values();
  const failures: unknown[] = [];
  const worker = async (): Promise<void> => {
    for (const task of queue) {
      const isMade = await task.made.then(
        () => true,
        () => false,
      );
      if (isMade) await work(task).catch((error: unknown) => void failures.push(error));
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  if (failures.length > 0) throw failures[0];
}

/** Takes a container's namespace down, in whatever state it is. */
export async function removeNamespace(note: AttachmentNote): Promise<void> {
  try {
    await runSteps(detachSteps(note));
  } catch (error) {
    if ((await listNetns()).includes(taskNetns(note.taskId))) throw error;
  }
}
