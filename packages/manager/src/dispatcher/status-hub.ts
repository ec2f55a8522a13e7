/**
 * Statuses of all sessions here go to the leader together: one report is under way at a time, and the
 * next one takes along what came meanwhile. One report a session would be a transaction each, and
 * with thousands of tasks that start at once cost more than all other work.
 */
import type { StatusReport } from '@swarmd/api';

import { STATUS_BATCH_MAX } from '../limits.ts';
import type { NextTurn } from './herald.ts';

interface StatusHubOptions {
  readonly nextTurn: NextTurn;
  /** Resolves when the leader has committed what is new of them. */
  readonly deliver: (reports: readonly StatusReport[]) => Promise<void>;
}

interface Waiting {
  readonly report: StatusReport;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class StatusHub {
  readonly #options: StatusHubOptions;
  #waiting: Waiting[] = [];
  #busy = false;

  constructor(options: StatusHubOptions) {
    this.#options = options;
  }

  /** Resolves when the leader took it. Bounded by its callers: each waits for its report to be settled. */
  report(report: StatusReport): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ report, resolve, reject });
      if (this.#busy) return;
      this.#busy = true;
      this.#options.nextTurn(() => void this.#drain());
    });
  }

  /** Never rejects: how a report ended is told to those that gave it. */
  async #drain(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#take();
      try {
        await this.#options.deliver(batch.map(({ report }) => report));
        for (const one of batch) one.resolve();
      } catch (error) {
        for (const one of batch) one.reject(error);
      }
    }
    this.#busy = false;
  }

  /** At least one report, and no more than `STATUS_BATCH_MAX` updates if there are several. */
  #take(): Waiting[] {
    let updates = 0;
    let count = 0;
    for (const { report } of this.#waiting) {
      updates += report.updates.length;
      if (count > 0 && updates > STATUS_BATCH_MAX) break;
      count += 1;
    }
    return this.#waiting.splice(0, count);
  }
}
