/**
 * Lets sessions work out what is news for their agents in turns: as many in one turn of the event loop
 * as take a few milliseconds. With thousands of sessions others would wait too long otherwise. What
 * comes again before its turn counts once.
 */
import type { Clock, NextTurn } from '@swarmd/base';

import { HERALD_SLICE_MS, HERALD_SLICE_SESSIONS } from '../limits.ts';

interface HeraldOptions<T> {
  readonly nextTurn: NextTurn;
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly tell: (one: T) => void;
}

export class Herald<T> {
  readonly #options: HeraldOptions<T>;
  readonly #waiting = new Set<T>();
  #isScheduled = false;

  constructor(options: HeraldOptions<T>) {
    this.#options = options;
  }

  add(one: T): void {
    this.#waiting.add(one);
    this.#schedule();
  }

  forget(one: T): void {
    this.#waiting.delete(one);
  }

  #schedule(): void {
    if (this.#isScheduled || this.#waiting.size === 0) return;
    this.#isScheduled = true;
    this.#options.nextTurn(() => this.#round());
  }

  #round(): void {
    const { clock, tell } = this.#options;
    this.#isScheduled = false;
    const until = clock.monotonic() + HERALD_SLICE_MS;
    let told = 0;
    for (const one of this.#waiting) {
      if (told === HERALD_SLICE_SESSIONS || (told > 0 && clock.monotonic() >= until)) break;
      told += 1;
      this.#waiting.delete(one);
      tell(one);
    }
    this.#schedule();
  }
}
