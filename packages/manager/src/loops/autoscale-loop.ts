/**
 * Decides on the number of replicas of autoscaled services, from what the managers report of their
 * tasks. What tasks use is not stored; what was decided, and since when something else is wanted, is.
 * The key is the service's id; services without autoscaling cost nothing.
 */
import type { TaskUsage } from '@swarmd/api';
import { ControlLoop, type Clock, type Logger, type Random } from '@swarmd/base';
import { asId, type TaskId } from '@swarmd/model';
import { planAutoscale, type Measured } from '@swarmd/planner';
import { writeChanges, type Commit, type Store } from '@swarmd/store';

import { AUTOSCALE_FIRST_MS, AUTOSCALE_PERIOD_MS } from '../limits.ts';

export class AutoscaleLoop implements AsyncDisposable {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #loop: ControlLoop;
  readonly #subscription: Disposable;
  readonly #usage = new Map<TaskId, Measured>();
  /** Monotonic: before this, silence says nothing. */
  readonly #firstLookAt: number;

  constructor(options: { store: Store; clock: Clock; random: Random; logger: Logger }) {
    this.#store = options.store;
    this.#clock = options.clock;
    this.#firstLookAt = this.#clock.monotonic() + AUTOSCALE_FIRST_MS;
    this.#loop = new ControlLoop({ ...options, name: 'autoscale' }, (key, signal) =>
      this.#look(key, signal),
    );
    this.#subscription = this.#store.subscribe((commit) => this.#onCommit(commit));
    for (const service of this.#store.view.list('service')) {
      if (service.spec.autoscale !== undefined) this.#loop.enqueue(service.id);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#subscription[Symbol.dispose]();
    await this.#loop[Symbol.asyncDispose]();
  }

  /** Takes what nodes have measured; of tasks that are not known nothing is kept. */
  report(tasks: readonly TaskUsage[]): void {
    const at = this.#clock.now();
    for (const usage of tasks) {
      const task = this.#store.view.get('task', usage.taskId);
      if (task !== undefined) this.#usage.set(task.id, { ...usage, at });
    }
  }

  async #look(key: string, signal: AbortSignal): Promise<{ requeueAfterMs: number } | undefined> {
    const id = asId('service', key);
    if (this.#store.view.get('service', id)?.spec.autoscale === undefined) return undefined;
    const earlyMs = this.#firstLookAt - this.#clock.monotonic();
    if (earlyMs > 0) return { requeueAfterMs: earlyMs };
    const context = { now: this.#clock.now(), usage: (task: TaskId) => this.#usage.get(task) };
    if (planAutoscale(this.#store.view, id, context).ops.length > 0) {
      await this.#store.update((tx) => {
        writeChanges(tx, planAutoscale(tx, id, context).ops);
      }, signal);
    }
    return { requeueAfterMs: AUTOSCALE_PERIOD_MS };
  }

  #onCommit(commit: Commit): void {
    for (const { table, before, after } of commit.changes) {
      if (table === 'task' && after === undefined && before !== undefined) {
        this.#usage.delete(before.id);
      }
      if (table !== 'service' || after?.spec.autoscale === undefined) continue;
      if (before?.spec.autoscale === undefined) this.#loop.enqueue(after.id);
    }
  }
}
