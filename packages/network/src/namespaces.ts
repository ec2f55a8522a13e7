/** Work over many containers' namespaces, and the removal of one. */
import type { TaskId } from '@swarmd/model';
import { run } from '@swarmd/base/system';

import { listNetns, runSteps } from './apply/kernel.ts';
import type { AttachmentNote } from './desired/attachment.ts';
import { gatewayLink, OVERLAY_NETNS, overlayLink, taskNetns } from './desired/names.ts';
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

/**
 * Deletes a task's namespace, and its links with it. The kernel takes a moment for the links; with
 * `links` they are gone on return, so that their names can be used again.
 */
export async function removeNamespace(taskId: TaskId, links?: AttachmentNote): Promise<void> {
  const name = taskNetns(taskId);
  if (links !== undefined) {
    const missingIsFine = { okCodes: [0, 1] };
    await run('ip', ['link', 'del', gatewayLink(taskId)], missingIsFine);
    for (const { networkId } of links.networks) {
      const link = overlayLink(taskId, networkId);
      await run('ip', ['-n', OVERLAY_NETNS, 'link', 'del', link], missingIsFine);
    }
  }
  try {
    await runSteps([{ kind: 'delete-netns', name }]);
  } catch (error) {
    if ((await listNetns()).includes(name)) throw error;
  }
}
