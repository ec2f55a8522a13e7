/**
 * Brings what the nodes connected here have measured to the leader: the newest of each task, in few
 * calls. What does not arrive is not repeated: it is measured again in a few seconds.
 */
import type { TaskUsage } from '@swarmd/api';
import { errorMessage, sleep, type Clock, type Logger } from '@swarmd/base';
import type { TaskId } from '@swarmd/model';

import { USAGE_GATHER_MS, USAGE_REPORT_MAX_TASKS } from '../limits.ts';
import { Wakeup } from '../wakeup.ts';

export interface UsageReporterOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly report: (tasks: readonly TaskUsage[], signal: AbortSignal) => Promise<void>;
}

export class UsageReporter {
  readonly #options: UsageReporterOptions;
  readonly #gathered = new Map<TaskId, TaskUsage>();
  readonly #arrived = new Wakeup();

  constructor(options: UsageReporterOptions) {
    this.#options = options;
  }

  add(tasks: readonly TaskUsage[]): void {
    for (const usage of tasks) this.#gathered.set(usage.taskId, usage);
    if (this.#gathered.size > 0) this.#arrived.wake();
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger, report } = this.#options;
    for (;;) {
      await this.#arrived.wait(signal);
      await sleep(clock, USAGE_GATHER_MS, signal);
      const tasks = [...this.#gathered.values()];
      this.#gathered.clear();
      try {
        for (let at = 0; at < tasks.length; at += USAGE_REPORT_MAX_TASKS) {
          await report(tasks.slice(at, at + USAGE_REPORT_MAX_TASKS), signal);
        }
      } catch (error) {
        if (signal.aborted) return;
        logger.debug({ error: errorMessage(error) }, 'use of tasks could not be reported');
      }
    }
  }
}
