/**
 * swarm.v1.Logs: the logs of tasks from the agents that run them, merged as they arrive. Following a
 * service takes up its new tasks as they appear, and a stream that broke goes on behind its last
 * record.
 */
import type { AgentService, Call, LogRecord, LogRequest, Logs, LogSelector } from '@swarmd/api';
import { Backoff, errorCode, errorMessage, Scope, sleep, SwarmError } from '@swarmd/base';
import type { Clock, Logger, Random } from '@swarmd/base';
import { isTerminal, rank, type Task, type TaskId } from '@swarmd/model';
import type { ReadView, Store } from '@swarmd/store';

import { notFound } from '../control/validate.ts';
import { LOG_FLUSH_MS, LOG_QUEUE_BATCHES, LOG_STREAMS_MAX } from '../limits.ts';
import { Wakeup } from '../wakeup.ts';

const RETRY = { firstMs: 200, maxMs: 5_000 };

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
    subscribe: ({ selector, options: request }, call) =>
      new LogSubscription(options, selector, request).run(call),
  };
}

class LogSubscription {
  readonly #options: LogsOptions;
  readonly #selector: LogSelector;
  readonly #request: LogRequest;
  /** Streams begun, also those that ended since; aborting one ends it. */
  readonly #streams = new Map<TaskId, AbortController>();
  readonly #batches: (readonly LogRecord[])[] = [];
  readonly #wakeup = new Wakeup();
  readonly #room = new Wakeup();
  #open = 0;
  #failure: unknown;

  constructor(options: LogsOptions, selector: LogSelector, request: LogRequest) {
    this.#options = options;
    this.#selector = selector;
    this.#request = request;
  }

  async *run(call: Call): AsyncIterable<LogRecord> {
    const { store } = this.#options;
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
        const batch = this.#batches.shift();
        this.#room.wake();
        if (batch !== undefined) yield* batch;
        else if (this.#failure !== undefined) throw this.#failure;
        else if (this.#open === 0 && !this.#goesOn()) return;
        else await this.#wakeup.wait(call.signal);
      }
    } finally {
      await scope[Symbol.asyncDispose]();
    }
  }

  /** Following a service ends with the service; following tasks with the tasks. */
  #goesOn(): boolean {
    if (!this.#request.follow) return false;
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
    const stream = new AbortController();
    this.#streams.set(task.id, stream);
    this.#open += 1;
    scope.spawn(`logs of ${task.id}`, async (stopped) => {
      const signal = AbortSignal.any([stopped, stream.signal]);
      try {
        await this.#readTask(task, signal);
      } catch (error) {
        if (!signal.aborted) this.#failure ??= error;
      }
      this.#open -= 1;
      this.#wakeup.wake();
    });
  }

  /** A forgotten task has ended: what its agent has not sent by now it will not send. */
  #endSoon(id: TaskId, stream: AbortController): void {
    this.#streams.delete(id);
    this.#options.clock.after(LOG_FLUSH_MS, () => stream.abort(), { unref: true });
  }

  async #readTask(task: Task, signal: AbortSignal): Promise<void> {
    const { clock, logger, random } = this.#options;
    const backoff = new Backoff(RETRY, random);
    let request = this.#request;
    /** Timestamp of the last record passed on by earlier streams, and by this one. */
    let behind = Number.NEGATIVE_INFINITY;
    let resumeAt = behind;
    for (;;) {
      try {
        for await (const records of this.#stream(task, request, signal)) {
          const fresh = records.filter((record) => record.timestamp > behind);
          await this.#deliver(fresh, signal);
          backoff.reset();
          // Should the stream have to be opened again: the wire has whole milliseconds, so the
          // records of the last one come twice and are dropped above.
          resumeAt = fresh.at(-1)?.timestamp ?? resumeAt;
        }
        return;
      } catch (error) {
        if (signal.aborted || errorCode(error) === 'not-found') return;
        if (!this.#request.follow || !isPassing(error)) throw unreachableLog(task, error);
        logger.debug({ task: task.id, error: errorMessage(error) }, 'log stream broke');
      }
      const now = this.#options.store.view.get('task', task.id);
      if (now === undefined || isTerminal(now.status.state)) return;
      behind = resumeAt;
      if (Number.isFinite(behind)) request = { follow: true, sinceMs: Math.floor(behind) };
      await sleep(clock, backoff.nextMs(), signal);
    }
  }

  #stream(task: Task, request: LogRequest, signal: AbortSignal): AsyncIterable<LogRecord[]> {
    const { store, agentAt } = this.#options;
    const node = task.nodeId === undefined ? undefined : store.view.get('node', task.nodeId);
    if (node === undefined || node.status.agentAddress === '') {
      throw new SwarmError('not-found', `the node of task ${task.id} is not in the cluster`);
    }
    const agent = agentAt(node.status.agentAddress);
    return agent.taskLogs({ taskId: task.id, options: request }, { signal });
  }

  /** Waits for room: a slow reader holds the agents back, not this manager's memory. */
  async #deliver(records: readonly LogRecord[], signal: AbortSignal): Promise<void> {
    while (this.#batches.length >= LOG_QUEUE_BATCHES) await this.#room.wait(signal);
    this.#batches.push(records);
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

function isPassing(error: unknown): boolean {
  return ['unavailable', 'deadline-exceeded', 'cancelled'].includes(errorCode(error));
}

function unreachableLog(task: Task, error: unknown): SwarmError {
  return new SwarmError(
    errorCode(error),
    `log of task ${task.serviceName}.${task.slot} (${task.id}) on node ${task.nodeId}: ` +
      errorMessage(error),
    { cause: error },
  );
}

function tooMany(): SwarmError {
  return new SwarmError(
    'resource-exhausted',
    `more than ${LOG_STREAMS_MAX} tasks match; ask for the logs of fewer`,
  );
}
