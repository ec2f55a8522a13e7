/**
 * The newest status of each task until a manager has acknowledged it. Sequences grow by one with
 * each batch; an acknowledgement covers every batch up to it. A status that changed after it was
 * sent stays due. The session asks for batches; nothing here waits or sends.
 */
import type { TaskStatusUpdate } from '@swarmd/api';
import { isTerminal, rank, type Task, type TaskId, type TaskStatus } from '@swarmd/model';

import { STATUS_BATCH_MAX } from './limits.ts';

interface Entry {
  readonly status: TaskStatus;
  /** Sequence of the batch it was last sent in, in this session. */
  sentAs: number | undefined;
}

export interface StatusBatch {
  readonly sequence: number;
  readonly updates: readonly TaskStatusUpdate[];
}

export class StatusReporter {
  readonly #pending = new Map<TaskId, Entry>();
  readonly #listeners = new Set<() => void>();
  #sequence = 0;

  report(taskId: TaskId, status: TaskStatus): void {
    this.#pending.set(taskId, { status, sentAs: undefined });
    for (const listener of this.#listeners) listener();
  }

  /** The task is not this node's any more: no manager wants to hear of it. */
  forget(taskId: TaskId): void {
    this.#pending.delete(taskId);
  }

  /** `listener` hears of every new status; it only wakes someone. */
  onDue(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Everything due, or undefined when nothing is. Bounded: call again until undefined. */
  nextBatch(): StatusBatch | undefined {
    const updates: TaskStatusUpdate[] = [];
    for (const [taskId, entry] of this.#pending) {
      if (entry.sentAs !== undefined) continue;
      entry.sentAs = this.#sequence + 1;
      updates.push({ taskId, status: entry.status });
      if (updates.length >= STATUS_BATCH_MAX) break;
    }
    if (updates.length === 0) return undefined;
    this.#sequence += 1;
    return { sequence: this.#sequence, updates };
  }

  acknowledge(sequence: number): void {
    for (const [taskId, entry] of this.#pending) {
      if (entry.sentAs !== undefined && entry.sentAs <= sequence) this.#pending.delete(taskId);
    }
  }

  /** True while something was sent and not acknowledged. */
  get unacknowledged(): boolean {
    return this.#pending.values().some((entry) => entry.sentAs !== undefined);
  }

  /** A new session, or no acknowledgement for too long: everything is due again. */
  sendAgain(): void {
    for (const entry of this.#pending.values()) entry.sentAs = undefined;
  }
}

/** True when the managers' picture of a task is behind ours, whatever was acknowledged. */
export function isBehind(task: Task, ours: TaskStatus): boolean {
  return !isTerminal(task.status.state) && rank(ours.state) > rank(task.status.state);
}
