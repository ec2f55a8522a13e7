/**
 * swarm.v1.Logs: the logs of tasks from the agents that run them, merged as they arrive. Following a
 * service takes up its new tasks as they appear, and a stream that broke goes on behind its last chunk.
 */
import type {
  AgentService,
  Call,
  LogRequest,
  Logs,
  LogSelector,
  LogSubscribeRequest,
  TaskLogChunk,
} from '@swarmd/api';
import { errorMessage, Scope, SwarmError } from '@swarmd/base';
import type { Clock, Logger, Random } from '@swarmd/base';
import { isTerminal, rank, type Task, type TaskId } from '@swarmd/model';
import type { ReadView, Store } from '@swarmd/store';

import { notFound } from '../control/validate.ts';
import { LOG_FLUSH_MS, LOG_QUEUE_CHUNKS, LOG_STREAMS_MAX } from '../limits.ts';
import { Wakeup } from '../wakeup.ts';
import { readTaskLog } from './task-log.ts';

export interface LogsOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Client of the agent that listens at host:port. */
  readonly agentAt: (address: string) => Pick<AgentService, 'taskLogs'>;
}

export function createLogs(options: LogsOptions): Logs {
  return {
    subscribe: (request, call) => new LogSubscription(options, request).run(call),
  };
}

interface Stream {
  readonly controller: AbortController;
  /** Chunks that came. */
  count: number;
}

class LogSubscription {
  readonly #options: LogsOptions;
  readonly #selector: LogSelector;
  readonly #request: LogRequest;
  readonly #after: Readonly<Record<string, string>>;
  /** Streams begun, also those that ended since; aborting one ends it. */
  readonly #streams = new Map<TaskId, Stream>();
  readonly #chunks: TaskLogChunk[] = [];
  readonly #wakeup = new Wakeup();
  readonly #room = new Wakeup();
  #open = 0;
  #failure: unknown;

  constructor(options: LogsOptions, { selector, options: request, after }: LogSubscribeRequest) {
    this.#options = options;
    this.#selector = selector;
    this.#request = request;
    this.#after = after;
  }

  async *run(call: Call): AsyncIterable<TaskLogChunk> {
    const { store, clock } = this.#options;
    checkSelector(store.view, this.#selector);
    const scope = new Scope((name, error) =>
      this.#options.logger.error({ name, error: errorMessage(error) }, 'reading a log failed'),
    );
    try {
      using _subscription = store.subscribe(() => {
        if (this.#request.follow) this.#openStreams(scope);
      });
      this.#openStreams(scope);
      for (;;) {
        const chunk = this.#chunks.shift();
        this.#room.wake();
        if (chunk !== undefined) yield chunk;
        // What can be had of the others is had before the failure of one is told.
        else if (this.#failure !== undefined && (this.#open === 0 || this.#request.follow)) {
          throw this.#failure;
        } else if (this.#open === 0 && !this.#goesOn()) return;
        else await this.#wakeup.wait(call.signal, { clock, ms: LOG_FLUSH_MS });
      }
    } finally {
      await scope[Symbol.asyncDispose]();
    }
  }

  /** Following a service ends with the service; following tasks with the tasks; both with their time. */
  #goesOn(): boolean {
    const { follow, untilMs = Number.POSITIVE_INFINITY } = this.#request;
    if (!follow || this.#options.clock.now() > untilMs) return false;
    const { view } = this.#options.store;
    const { serviceId } = this.#selector;
    if (serviceId !== undefined && view.get('service', serviceId) !== undefined) return true;
    return this.#tasks(view).some((task) => !isTerminal(task.status.state));
  }

  #tasks(view: ReadView): Task[] {
    const tasks = this.#selector.taskIds.flatMap((id) => view.get('task', id) ?? []);
    if (this.#selector.serviceId === undefined) return tasks;
    return [...tasks, ...view.tasksByService(this.#selector.serviceId)];
  }

  #openStreams(scope: Scope): void {
    const { view } = this.#options.store;
    for (const task of this.#tasks(view)) {
      if (this.#streams.has(task.id) || !hasLog(task)) continue;
      if (this.#open >= LOG_STREAMS_MAX) {
        this.#failure ??= tooMany();
        break;
      }
      this.#openStream(task, scope);
    }
    for (const [id, stream] of this.#streams) {
      if (view.get('task', id) === undefined) this.#endSoon(id, stream);
    }
    this.#wakeup.wake();
  }

  #openStream(task: Task, scope: Scope): void {
    const stream: Stream = { controller: new AbortController(), count: 0 };
    this.#streams.set(task.id, stream);
    this.#open += 1;
    scope.spawn(`logs of ${task.id}`, async (stopped) => {
      const signal = AbortSignal.any([stopped, stream.controller.signal]);
      try {
        const request = { ...this.#request, after: this.#after[task.id] };
        const isPatient = this.#selector.serviceId !== undefined;
        const what = { task, request, isPatient };
        for await (const chunk of readTaskLog(this.#options, what, signal)) {
          stream.count += 1;
          await this.#deliver(chunk, signal);
        }
      } catch (error) {
        if (!signal.aborted) this.#failure ??= error;
      }
      this.#open -= 1;
      this.#wakeup.wake();
    });
  }

  /** A forgotten task has ended. What there is of its log may still come; when nothing does, it is over. */
  #endSoon(id: TaskId, stream: Stream): void {
    this.#streams.delete(id);
    const { clock } = this.#options;
    const look = (count: number): void => {
      if (stream.controller.signal.aborted) return;
      if (count === stream.count && this.#chunks.length === 0) stream.controller.abort();
      else clock.after(LOG_FLUSH_MS, () => look(stream.count), { unref: true });
    };
    clock.after(LOG_FLUSH_MS, () => look(stream.count - 1), { unref: true });
  }

  /** Waits for room: a slow reader holds the agents back, not this manager's memory. */
  async #deliver(chunk: TaskLogChunk, signal: AbortSignal): Promise<void> {
    while (this.#chunks.length >= LOG_QUEUE_CHUNKS) await this.#room.wait(signal);
    this.#chunks.push(chunk);
    this.#wakeup.wake();
  }
}

/** Before its container starts there is nothing to read. */
function hasLog(task: Task): boolean {
  return task.nodeId !== undefined && rank(task.status.state) >= rank('starting');
}

function checkSelector(view: ReadView, selector: LogSelector): void {
  const { serviceId, taskIds } = selector;
  if (serviceId === undefined && taskIds.length === 0) {
    throw new SwarmError('invalid-argument', 'logs: name a service or at least one task');
  }
  if (serviceId !== undefined && view.get('service', serviceId) === undefined) {
    throw notFound('service', serviceId);
  }
  for (const id of taskIds) {
    if (view.get('task', id) === undefined) throw notFound('task', id);
  }
}

function tooMany(): SwarmError {
  return new SwarmError(
    'resource-exhausted',
    `more than ${LOG_STREAMS_MAX} tasks match; ask for the logs of fewer`,
  );
}
