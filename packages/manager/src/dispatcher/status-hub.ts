/**
 * Statuses of all sessions here go to the leader together: while one report is under way the next one
 * gathers what comes, and leaves earlier only when it is full. One report a session would be a
 * transaction each, and with thousands of tasks that start at once cost more than all other work.
 */
import type { StatusReport } from '@swarmd/api';
import type { NextTurn } from '@swarmd/base';

import { STATUS_BATCH_MAX, STATUS_REPORTS_MAX } from '../limits.ts';

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
  #updates = 0;
  #underWay = 0;
  #isScheduled = false;

  constructor(options: StatusHubOptions) {
    this.#options = options;
  }

  /** Resolves when the leader took it. Bounded by its callers: each waits for its report to be settled. */
  report(report: StatusReport): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ report, resolve, reject });
      this.#updates += report.updates.length;
      this.#schedule();
    });
  }

  /** What comes in the same turn goes together. */
  #schedule(): void {
    if (this.#isScheduled || !this.#isDue) return;
    this.#isScheduled = true;
    this.#options.nextTurn(() => {
      this.#isScheduled = false;
      if (this.#isDue) void this.#deliver(this.#take());
      this.#schedule();
    });
  }

  get #isDue(): boolean {
    if (this.#waiting.length === 0) return false;
    const isFull = this.#updates >= STATUS_BATCH_MAX;
    return this.#underWay === 0 || (isFull && this.#underWay < STATUS_REPORTS_MAX);
  }

  /** Never rejects: how a report ended is told to those that gave it. */
  async #deliver(batch: readonly Waiting[]): Promise<void> {
    this.#underWay += 1;
    try {
      await this.#options.deliver(batch.map(({ report }) => report));
      for (const one of batch) one.resolve();
    } catch (error) {
      for (const one of batch) one.reject(error);
    }
    this.#underWay -= 1;
    this.#schedule();
  }

  /** At least one report, and no more than `STATUS_BATCH_MAX` updates if there are several. */
  #take(): Waiting[] {
    let updates = 0;
    let count = 0;
    for (const { report } of this.#waiting) {
      if (count > 0 && updates + report.updates.length > STATUS_BATCH_MAX) break;
      updates += report.updates.length;
      count += 1;
    }
    this.#updates -= updates;
    return this.#waiting.splice(0, count);
  }
}
