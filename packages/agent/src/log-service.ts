/**
 * swarm.v1.Agent: the logs of this node's tasks, for managers. A chunk is read when the last one was
 * taken: a slow reader slows the reading of the file, never the container.
 */
import { SwarmError } from '@swarmd/base';
import type { AgentService, LogRequest } from '@swarmd/api';
import type { NodeId, Task, TaskId } from '@swarmd/model';

import type { Executor } from './ports.ts';

export interface LogServiceDeps {
  readonly nodeId: NodeId;
  readonly executor: Pick<Executor, 'logs' | 'logAttributes'>;
  /** Undefined when the task is not assigned to this node. */
  readonly task: (
    id: TaskId,
  ) =>
    | { readonly task: Task; readonly container: (signal: AbortSignal) => Promise<boolean> }
    | undefined;
}

export function logService({ nodeId, executor, task }: LogServiceDeps): AgentService {
  return {
    async *taskLogs({ taskId, options }, { signal }) {
      const known = task(taskId);
      if (known === undefined) {
        throw new SwarmError('not-found', `task ${taskId} is not on this node`);
      }
      if (!(await hasLogs(known.container, options, signal))) return;
      const { serviceId } = known.task;
      const attributes = options.details === true ? executor.logAttributes(taskId) : {};
      for await (const chunk of executor.logs(taskId, options, signal)) {
        yield { ...chunk, taskId, nodeId, serviceId, attributes };
      }
    },
  };
}

/** A follower waits for a container that is still being made; others take what is there. */
async function hasLogs(
  container: (signal: AbortSignal) => Promise<boolean>,
  options: LogRequest,
  signal: AbortSignal,
): Promise<boolean> {
  if (options.follow) return container(signal);
  return container(AbortSignal.abort()).catch(() => false);
}
