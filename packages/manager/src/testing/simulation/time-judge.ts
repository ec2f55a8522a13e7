/** Looks once a second whether everything that is due has happened: what never happens makes no commit. */
import type { Node } from '@swarmd/model';
import type { ReadView } from '@swarmd/store';

import { overdueRun, overdueScaling, overdueUpdate } from './rules-time.ts';

const LOOK_MS = 1_000;

export interface TimeJudgeOptions {
  readonly view: ReadView;
  readonly broken: (rule: string, message: string) => void;
}

export class TimeJudge {
  readonly #options: TimeJudgeOptions;
  #lookedAt = 0;
  #leader: unknown;
  #ledSince = Infinity;

  constructor(options: TimeJudgeOptions) {
    this.#options = options;
  }

  /** `leader`: who leads and can commit; undefined while nobody does, or may not be able to. */
  look(now: number, leader: unknown): void {
    if (leader !== this.#leader) {
      this.#leader = leader;
      this.#ledSince = leader === undefined ? Infinity : now;
    }
    if (now < this.#lookedAt + LOOK_MS) return;
    this.#lookedAt = now;
    const { view, broken } = this.#options;
    const moment = { now, ledSince: this.#ledSince };
    const say = (message: string | undefined): void => {
      if (message !== undefined) broken('in-time', message);
    };
    for (const service of view.list('service')) {
      say(overdueRun(service, moment));
      say(overdueScaling(service, moment));
      const tasks = service.updateStatus === undefined ? [] : [...view.tasksByService(service.id)];
      const nodeNumbered = (slot: number): Node | undefined =>
        [...view.list('node')].find(({ index }) => index === slot);
      say(overdueUpdate(service, tasks, { ...moment, nodeNumbered }));
    }
  }
}
