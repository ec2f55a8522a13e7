/**
 * Tells sessions that there is news for them: a few in one turn of the event loop, as each then works
 * out what to say. With thousands of sessions others would wait too long otherwise. What comes again
 * before its turn counts once.
 */
import { HERALD_SLICE_SESSIONS } from '../limits.ts';

/** Runs a function in a turn of its own. */
export type NextTurn = (fn: () => void) => void;

export class Herald<T> {
  readonly #nextTurn: NextTurn;
  readonly #tell: (one: T) => void;
  readonly #waiting = new Set<T>();
  #isScheduled = false;

  constructor(options: { nextTurn: NextTurn; tell: (one: T) => void }) {
    this.#nextTurn = options.nextTurn;
    this.#tell = options.tell;
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
    this.#nextTurn(() => this.#round());
  }

  #round(): void {
    this.#isScheduled = false;
    let told = 0;
    for (const one of this.#waiting) {
      if (told === HERALD_SLICE_SESSIONS) break;
      told += 1;
      this.#waiting.delete(one);
      this.#tell(one);
    }
    this.#schedule();
  }
}
