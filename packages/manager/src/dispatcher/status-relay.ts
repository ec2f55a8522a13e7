/**
 * Brings the statuses of one session to the leader: the newest of each task, one call at a time,
 * repeated until the leader took them. Then everything up to the last sequence is acknowledged.
 */
import type { TaskStatusUpdate } from '@swarmd/api';
import {
  Backoff,
  errorCode,
  errorMessage,
  sleep,
  type Clock,
  type Logger,
  type Random,
} from '@swarmd/base';
import type { TaskId } from '@swarmd/model';

import { STATUS_BATCH_MAX, STATUS_PENDING_MAX } from '../limits.ts';
import { Wakeup } from '../wakeup.ts';

const RETRY = { firstMs: 100, maxMs: 2_000 };

export interface StatusRelayOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Resolves when the leader has committed what is new of them. */
  readonly report: (updates: readonly TaskStatusUpdate[], signal: AbortSignal) => Promise<void>;
  readonly settled: (sequence: number) => void;
}

export class StatusRelay {
  readonly #options: StatusRelayOptions;
  readonly #pending = new Map<TaskId, TaskStatusUpdate>();
  readonly #arrived = new Wakeup();
  readonly #taken = new Wakeup();
  #sequence = -1;

  constructor(options: StatusRelayOptions) {
    this.#options = options;
  }

  /** @returns when there is room for more, if there is none now: the reader of the stream waits for it. */
  add(
    message: { sequence: number; updates: readonly TaskStatusUpdate[] },
    signal: AbortSignal,
  ): Promise<void> | undefined {
    for (const update of message.updates) this.#pending.set(update.taskId, update);
    this.#sequence = Math.max(this.#sequence, message.sequence);
    this.#arrived.wake();
    return this.#pending.size > STATUS_PENDING_MAX ? this.#room(signal) : undefined;
  }

  async #room(signal: AbortSignal): Promise<void> {
    while (this.#pending.size > STATUS_PENDING_MAX) await this.#taken.wait(signal);
  }

  /** Until the session ends. */
  async run(signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.#arrived.wait(signal);
      const sequence = this.#sequence;
      while (this.#pending.size > 0) {
        await this.#deliver(this.#take(), signal);
        this.#taken.wake();
      }
      this.#options.settled(sequence);
    }
  }

  #take(): TaskStatusUpdate[] {
    const batch: TaskStatusUpdate[] = [];
    for (const [taskId, update] of this.#pending) {
      if (batch.length >= STATUS_BATCH_MAX) break;
      this.#pending.delete(taskId);
      batch.push(update);
    }
    return batch;
  }

  async #deliver(batch: readonly TaskStatusUpdate[], signal: AbortSignal): Promise<void> {
    const { clock, logger, random, report } = this.#options;
    const backoff = new Backoff(RETRY, random);
    for (;;) {
      try {
        await report(batch, signal);
        return;
      } catch (error) {
        if (signal.aborted) throw error;
        const code = errorCode(error);
        if (code === 'permission-denied' || code === 'invalid-argument') {
          // Repeating cannot help; the agent must not repeat for ever either.
          logger.error({ error: errorMessage(error) }, 'the leader refused task statuses');
          return;
        }
        logger.warn({ error: errorMessage(error) }, 'task statuses not reported yet');
        await sleep(clock, backoff.nextMs(), signal);
      }
    }
  }
}
