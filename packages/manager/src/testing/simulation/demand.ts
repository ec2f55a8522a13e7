/** What the tasks of simulated services have to do: each service gets work, which its running tasks share. */
import type { ServiceId, TaskId } from '@swarmd/model';
import type { ReadView } from '@swarmd/store';

import type { Dice } from '@swarmd/base/testing';

/** Billionths of a CPU of a whole service: of nothing up to more than its tasks may have. */
const DEMAND: readonly [number, number] = [0, 1.2e9];

export class Demand {
  readonly #view: ReadView;
  readonly #dice: Dice;
  readonly #ofService = new Map<ServiceId, number>();

  constructor(view: ReadView, dice: Dice) {
    this.#view = view;
    this.#dice = dice;
  }

  /** Of some service: more, or less. */
  change(): void {
    const scaled = [...this.#view.list('service')].filter(({ spec }) => spec.autoscale);
    const service = this.#dice.maybe(scaled);
    if (service !== undefined) this.#ofService.set(service.id, this.#dice.between(...DEMAND));
  }

  /** Of a task that runs; undefined: nobody knows of it. */
  of(id: TaskId): number | undefined {
    const task = this.#view.get('task', id);
    if (task === undefined) return undefined;
    let running = 0;
    for (const { status } of this.#view.tasksByService(task.serviceId)) {
      if (status.state === 'running') running += 1;
    }
    return Math.round((this.#ofService.get(task.serviceId) ?? 0) / Math.max(1, running));
  }
}
