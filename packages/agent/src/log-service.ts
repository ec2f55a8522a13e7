/**
 * swarm.v1.Agent: the logs of this node's tasks, for managers. Lines are read ahead of the reader
 * up to a bound; a slow reader slows the reading of the file, never the container.
 */
import { abortReason, errorMessage, SwarmError } from '@swarmd/base';
import type { AgentService, LogRecord, LogRequest } from '@swarmd/api';
import type { NodeId, Task, TaskId } from '@swarmd/model';

import { LOG_BATCH_LINES_MAX, LOG_BUFFER_LINES_MAX } from './limits.ts';
import { Notice } from './notice.ts';
import type { Executor, LogLine } from './ports.ts';

export interface LogServiceDeps {
  readonly nodeId: NodeId;
  readonly executor: Executor;
  /** Undefined when the task is not assigned to this node. */
  readonly task: (
    id: TaskId,
  ) =>
    | { readonly task: Task; readonly container: (signal: AbortSignal) => Promise<boolean> }
    | undefined;
}

export function logService(deps: LogServiceDeps): AgentService {
  return {
    async *taskLogs({ taskId, options }, call) {
      const known = deps.task(taskId);
      if (known === undefined) {
        throw new SwarmError('not-found', `task ${taskId} is not on this node`);
      }
      if (!(await hasLogs(known.container, options, call.signal))) return;
      const { serviceId } = known.task;
      const lines = deps.executor.logs(taskId, options, call.signal);
      for await (const batch of batches(lines, call.signal)) {
        yield batch.map((line): LogRecord => ({ taskId, nodeId: deps.nodeId, serviceId, ...line }));
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

/** Groups what is there without waiting for more. */
async function* batches(
  lines: AsyncIterable<LogLine>,
  signal: AbortSignal,
): AsyncGenerator<LogLine[]> {
  const buffer: LogLine[] = [];
  const changed = new Notice();
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  let ended = false;
  let failure: Error | undefined;
  const read = async (): Promise<void> => {
    try {
      for await (const line of lines) {
        buffer.push(line);
        changed.notify();
        while (buffer.length >= LOG_BUFFER_LINES_MAX) await changed.wait(either);
        if (either.aborted) return;
      }
    } catch (error) {
      failure = error instanceof Error ? error : new Error(errorMessage(error));
    } finally {
      ended = true;
      changed.notify();
    }
  };
  const reading = read();
  try {
    for (;;) {
      while (buffer.length === 0 && !ended) await changed.wait(signal);
      if (buffer.length === 0) break;
      yield buffer.splice(0, LOG_BATCH_LINES_MAX);
      changed.notify();
    }
    if (signal.aborted) throw abortReason(signal);
    if (failure !== undefined) throw failure;
  } finally {
    stop.abort();
    if (signal.aborted) await reading;
  }
}
