/**
 * Lets go of tasks that are to stop: as soon as every node that balances to a task has confirmed that
 * nothing new comes, or after `RELEASE_WAIT_MS` whatever they say. What nodes confirmed is not
 * replicated: managers tell a new leader again, who waits as long anew.
 */
import type { AppliedNetwork } from '@swarmd/api';
import type { Clock, Logger, Scope } from '@swarmd/base';
import type { NodeId, Task, TaskId } from '@swarmd/model';
import { holdersOf, isLeaving, reason } from '@swarmd/planner';
import type { Store, Transaction } from '@swarmd/store';

import { RELEASE_BATCH_MAX, RELEASE_WAIT_MS } from '../limits.ts';
import { Wakeup } from '../wakeup.ts';
import { LeavingTasks } from './leaving-tasks.ts';

interface Release {
  readonly id: TaskId;
  /** Nodes that did not confirm in time. */
  readonly missing: readonly NodeId[];
}

export class ReleaseLoop implements Disposable {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #wakeup = new Wakeup();
  readonly #leaving: LeavingTasks;
  readonly #applied = new Map<NodeId, number>();
  /** Monotonic time at which each task stops being waited for. */
  readonly #deadlines = new Map<TaskId, number>();

  constructor(options: { store: Store; clock: Clock; logger: Logger; scope: Scope }) {
    this.#store = options.store;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#leaving = new LeavingTasks(options.store, () => this.#wakeup.wake());
    options.scope.spawn('release-tasks', (signal) => this.#run(signal));
  }

  [Symbol.dispose](): void {
    this.#leaving[Symbol.dispose]();
  }

  /** Takes what nodes have confirmed. */
  report(nodes: readonly AppliedNetwork[]): void {
    for (const { nodeId, version } of nodes) this.#applied.set(nodeId, version);
    this.#wakeup.wake();
  }

  async #run(signal: AbortSignal): Promise<void> {
    for (;;) {
      const dueMs = Math.min(...this.#deadlines.values()) - this.#clock.monotonic();
      const timeout = Number.isFinite(dueMs)
        ? { clock: this.#clock, ms: Math.max(0, dueMs) }
        : undefined;
      await this.#wakeup.wait(signal, timeout);
      const releases = this.#due();
      if (releases.length === 0) continue;
      await this.#store.update((tx) => write(tx, releases, this.#clock.now()), signal);
    }
  }

  #due(): Release[] {
    const tasks = this.#leaving.list();
    this.#forgetOthers(tasks);
    if (tasks.length === 0) return [];
    const now = this.#clock.monotonic();
    const releases: Release[] = [];
    const holders = holdersOf(this.#store.view, tasks, (id) => this.#applied.get(id) ?? -1);
    for (const [task, missing] of holders) {
      const deadline = this.#deadlines.get(task.id) ?? now + RELEASE_WAIT_MS;
      this.#deadlines.set(task.id, deadline);
      if (missing.length > 0 && deadline > now) continue;
      if (missing.length > 0) {
        this.#logger.warn({ task: task.id, missing }, 'letting go of a task unconfirmed');
      }
      releases.push({ id: task.id, missing });
      if (releases.length === RELEASE_BATCH_MAX) break;
    }
    return releases;
  }

  /** Both maps hold what is of use while tasks wait, and nothing when none does. */
  #forgetOthers(tasks: readonly Task[]): void {
    const waiting = new Set(tasks.map((task) => task.id));
    for (const id of this.#deadlines.keys()) if (!waiting.has(id)) this.#deadlines.delete(id);
    if (tasks.length === 0) this.#applied.clear();
  }
}

function write(tx: Transaction, releases: readonly Release[], now: number): void {
  for (const { id, missing } of releases) {
    const task = tx.get('task', id);
    if (task === undefined || !isLeaving(task)) continue;
    const message = `told to stop, though not confirmed by node ${missing.join(', ')}`;
    const because =
      missing.length === 0
        ? task.because
        : [...task.because, reason('release-timeout', message, { at: now })];
    tx.put('task', { ...task, releasedAt: now, because });
  }
}
