/** The log of one task from its agent. Who follows it gets over restarts of the agent and losses of the node. */
import type { AgentService, LogRequest, TaskLogChunk } from '@swarmd/api';
import { Backoff, errorCode, errorMessage, sleep, SwarmError } from '@swarmd/base';
import type { Clock, Logger, Random } from '@swarmd/base';
import { isTerminal, logColumns, type Node, type Task } from '@swarmd/model';
import type { ReadView, Store } from '@swarmd/store';

import { LOG_OUTAGE_MS } from '../limits.ts';

const RETRY = { firstMs: 200, maxMs: 2_000 };
/** An agent that has just come back may not know its tasks yet. */
const UNKNOWN_MAX = 5;

export interface TaskLogDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly agentAt: (address: string) => Pick<AgentService, 'taskLogs'>;
}

export interface TaskLogRequest {
  readonly task: Task;
  readonly request: LogRequest;
  /** Even an ended task's node is waited for, however long it is away. */
  readonly isPatient: boolean;
}

/**
 * Each line once, in order: a stream that broke is begun again behind the last chunk's cursor. Ends with
 * the log. When the node stays away, its reader is told; who follows a task that has ended is let go then.
 * @throws SwarmError when the log cannot be had: by a follower only if waiting would not help.
 */
export async function* readTaskLog(
  deps: TaskLogDeps,
  { task, request, isPatient }: TaskLogRequest,
  signal: AbortSignal,
): AsyncGenerator<TaskLogChunk> {
  const { clock, logger, random, store } = deps;
  const backoff = new Backoff(RETRY, random);
  let after = request.after;
  let unknown = 0;
  let outageAt: number | undefined;
  let isTold = false;
  for (;;) {
    try {
      for await (const chunk of open(deps, task, { request: { ...request, after }, signal })) {
        after = chunk.cursor;
        [unknown, outageAt, isTold] = [0, undefined, false];
        backoff.reset();
        yield chunk;
      }
      return;
    } catch (error) {
      if (signal.aborted) return;
      const isUnknown = errorCode(error) === 'not-found';
      if (isUnknown) unknown += 1;
      if (isUnknown && (!request.follow || unknown > UNKNOWN_MAX)) return;
      if (!isUnknown && (!request.follow || !isPassing(error))) throw unreachableLog(task, error);
      logger.debug({ task: task.id, error: errorMessage(error) }, 'log stream broke');
      const now = clock.monotonic();
      outageAt ??= now;
      const current = store.view.get('task', task.id);
      if (current === undefined) return;
      if (now - outageAt > LOG_OUTAGE_MS) {
        if (!isTold) yield outage(task, store.view, after);
        isTold = true;
        if (isTerminal(current.status.state) && !isPatient) return;
      }
    }
    await sleep(clock, backoff.nextMs(), signal);
  }
}

function open(
  { store, agentAt }: TaskLogDeps,
  task: Task,
  { request, signal }: { readonly request: LogRequest; readonly signal: AbortSignal },
): AsyncIterable<TaskLogChunk> {
  const node = task.nodeId === undefined ? undefined : store.view.get('node', task.nodeId);
  if (node === undefined || node.status.agentAddress === '') {
    throw new SwarmError('not-found', `the node of task ${task.id} is not in the cluster`);
  }
  return agentAt(node.status.agentAddress).taskLogs(
    { taskId: task.id, options: request },
    { signal },
  );
}

function isPassing(error: unknown): boolean {
  return ['unavailable', 'deadline-exceeded', 'cancelled'].includes(errorCode(error));
}

function outage(task: Task, view: ReadView, cursor = ''): TaskLogChunk {
  const node = task.nodeId === undefined ? undefined : view.get('node', task.nodeId);
  const name = node?.description?.hostname ?? task.nodeId;
  return {
    ...logColumns([]),
    taskId: task.id,
    nodeId: task.nodeId ?? ('' as Node['id']),
    serviceId: task.serviceId,
    attributes: {},
    cursor,
    notice: `node ${name} cannot be reached: what the task has printed since is missing until it is back`,
  };
}

function unreachableLog(task: Task, error: unknown): SwarmError {
  return new SwarmError(
    errorCode(error),
    `log of task ${task.serviceName}.${task.slot} (${task.id}) on node ${task.nodeId}: ` +
      errorMessage(error),
    { cause: error },
  );
}
