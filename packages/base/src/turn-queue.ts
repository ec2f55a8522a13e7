/**
 * One queue for all work that is put off to a later turn of the event loop. A turn takes up what waits, oldest
 * first, until its time is used up; then sockets and timers are served before the next one. So what others wait
 * for is one turn, however many parts of a program have something to do: each with turns of its own, they would
 * all have them in the same turn of the event loop.
 *
 * Work is to be small: what is begun is done. Who has more to do comes again, behind all others. What follows
 * from work in promises counts as a part of it.
 */
import type { Clock } from './ports.ts';

/** Runs `work` in a later turn of the event loop. */
export type NextTurn = (work: () => void) => void;

export interface TurnQueueOptions {
  readonly clock: Pick<Clock, 'monotonic'>;
  /** No further work is begun in a turn that has taken so long. */
  readonly turnMs: number;
  /** After sockets and timers were served. */
  readonly turn: NextTurn;
  /** In the same turn, once no promise is left to be settled. */
  readonly settled: (next: () => void) => void;
}

export class TurnQueue {
  readonly #options: TurnQueueOptions;
  #waiting: (() => void)[] = [];
  /** Index in `#waiting` of what comes next. */
  #next = 0;
  #isScheduled = false;

  constructor(options: TurnQueueOptions) {
    this.#options = options;
  }

  add(work: () => void): void {
    this.#waiting.push(work);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#options.turn(() => this.#turn());
  }

  #turn(): void {
    const { clock, turnMs } = this.#options;
    this.#step(clock.monotonic() + turnMs);
  }

  #step(until: number): void {
    const work = this.#waiting[this.#next];
    this.#next += 1;
    try {
      work?.();
    } finally {
      this.#options.settled(() => this.#continue(until));
    }
  }

  #continue(until: number): void {
    if (this.#next === this.#waiting.length) {
      this.#waiting = [];
      this.#next = 0;
      this.#isScheduled = false;
    } else if (this.#options.clock.monotonic() < until) this.#step(until);
    else this.#options.turn(() => this.#turn());
  }
}
