/**
 * Measures what tasks of this node use, as long as a manager asks for it: CPU and memory from their
 * cgroups, a metric from the tasks themselves by way of their address in the node's gateway subnet.
 * While nobody asks, nothing runs.
 */
import type { TaskMeasure, TaskUsage } from '@swarmd/api';
import { errorMessage, Scope, sleep, type Clock, type Logger } from '@swarmd/base';
import type { TaskId } from '@swarmd/model';

import { METER_PERIOD_MS, METRIC_TIMEOUT_MS } from '../limits.ts';
import { fetchText } from './fetch-text.ts';
import { sumOfMetric } from './prometheus.ts';

export interface MeterDeps {
  /** Counters of the task's container. @throws while it has none that runs. */
  readonly stats: (id: TaskId) => Promise<{
    readonly timestamp: number;
    readonly cpuNs: number;
    readonly memoryBytes: number;
  }>;
  /** Where the task can be reached from this machine; undefined while it has no address. */
  readonly addressOf: (id: TaskId) => string | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class Meter implements AsyncDisposable {
  readonly #deps: MeterDeps;
  readonly #scope: Scope;
  readonly #listeners = new Set<(tasks: readonly TaskUsage[]) => void>();
  readonly #before = new Map<TaskId, { timestamp: number; cpuNs: number }>();
  #measures: readonly TaskMeasure[] = [];
  #isRunning = false;

  constructor(deps: MeterDeps) {
    this.#deps = deps;
    this.#scope = new Scope((name, error) =>
      deps.logger.error({ name, error: errorMessage(error) }, 'measuring failed'),
    );
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope[Symbol.asyncDispose]();
  }

  onUsage(listener: (tasks: readonly TaskUsage[]) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  measure(tasks: readonly TaskMeasure[]): void {
    this.#measures = tasks;
    const known = new Set(tasks.map(({ taskId }) => taskId));
    for (const id of this.#before.keys()) if (!known.has(id)) this.#before.delete(id);
    if (tasks.length === 0 || this.#isRunning) return;
    this.#isRunning = true;
    this.#scope.spawn('meter', (signal) => this.#run(signal));
  }

  async #run(signal: AbortSignal): Promise<void> {
    try {
      while (this.#measures.length > 0) {
        const looks = await Promise.all(this.#measures.map((one) => this.#look(one, signal)));
        const usages = looks.filter((usage) => usage !== undefined);
        if (usages.length > 0) for (const listener of this.#listeners) listener(usages);
        await sleep(this.#deps.clock, METER_PERIOD_MS, signal);
      }
    } finally {
      this.#isRunning = false;
    }
  }

  /** Undefined for a task that does not run, and at the first look: a rate needs two. */
  async #look(
    { taskId, metric }: TaskMeasure,
    signal: AbortSignal,
  ): Promise<TaskUsage | undefined> {
    const { stats, logger } = this.#deps;
    const before = this.#before.get(taskId);
    try {
      const { timestamp, cpuNs, memoryBytes } = await stats(taskId);
      this.#before.set(taskId, { timestamp, cpuNs });
      if (before === undefined || timestamp <= before.timestamp || cpuNs < before.cpuNs) {
        return undefined;
      }
      const nanoCpus = Math.round(
        ((cpuNs - before.cpuNs) / (timestamp - before.timestamp)) * 1_000,
      );
      const value = metric === undefined ? undefined : await this.#ask(taskId, metric, signal);
      return {
        taskId,
        nanoCpus,
        memoryBytes,
        ...(value === undefined ? {} : { metric: value }),
      };
    } catch (error) {
      this.#before.delete(taskId);
      logger.debug({ task: taskId, error: errorMessage(error) }, 'a task could not be measured');
      return undefined;
    }
  }

  async #ask(
    taskId: TaskId,
    { name, port, path }: NonNullable<TaskMeasure['metric']>,
    signal: AbortSignal,
  ): Promise<number | undefined> {
    const address = this.#deps.addressOf(taskId);
    if (address === undefined) return undefined;
    const limit = new AbortController();
    const timer = this.#deps.clock.after(METRIC_TIMEOUT_MS, () => limit.abort());
    try {
      const either = AbortSignal.any([signal, limit.signal]);
      const text = await fetchText({ address, port, path }, either);
      const value = sumOfMetric(text, name);
      if (value === undefined) {
        this.#deps.logger.warn(
          { task: taskId, metric: name },
          'the task does not tell this metric',
        );
      }
      return value;
    } catch (error) {
      const why = errorMessage(error);
      this.#deps.logger.warn({ task: taskId, port, path, error: why }, 'no metric of the task');
      return undefined;
    } finally {
      timer.cancel();
    }
  }
}
