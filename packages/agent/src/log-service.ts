/**
 * swarm.v1.Agent: the logs of this node's tasks, for managers. Lines are read ahead of the reader
 * up to a bound; a slow reader slows the reading of the file, never the container.
 */
import { SwarmError } from '@swarmd/base';
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
  const left = new AbortController();
  const ahead = new ReadAhead(lines, AbortSignal.any([signal, left.signal]));
  try {
    for (;;) {
      const batch = await ahead.take(signal);
      if (batch === undefined) return;
      yield batch;
    }
  } finally {
    left.abort();
  }
}

/** Reads a source into a bounded buffer. */
class ReadAhead {
  readonly #buffer: LogLine[] = [];
  readonly #changed = new Notice();
  #ended = false;
  #failure: unknown;

  constructor(lines: AsyncIterable<LogLine>, signal: AbortSignal) {
    this.#read(lines, signal)
      .catch((error: unknown) => (this.#failure = error))
      .finally(() => {
        this.#ended = true;
        this.#changed.notify();
      });
  }

  /** What is there, at least one line; undefined at the end. @throws what the source threw */
  async take(signal: AbortSignal): Promise<LogLine[] | undefined> {
    while (this.#buffer.length === 0 && !this.#ended) await this.#changed.wait(signal);
    if (this.#buffer.length > 0) {
      const batch = this.#buffer.splice(0, LOG_BATCH_LINES_MAX);
      this.#changed.notify();
      return batch;
    }
    if (this.#failure !== undefined) throw this.#failure;
    return undefined;
  }

  async #read(lines: AsyncIterable<LogLine>, signal: AbortSignal): Promise<void> {
    for await (const line of lines) {
      this.#buffer.push(line);
      this.#changed.notify();
      while (this.#buffer.length >= LOG_BUFFER_LINES_MAX) await this.#changed.wait(signal);
      if (signal.aborted) return;
    }
  }
}
