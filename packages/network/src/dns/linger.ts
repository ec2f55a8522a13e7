/**
 * A processor that falls asleep between question and answer takes 30 to 60 us to wake up, longer than the
 * answer itself. So after questions that came quickly one after another, the event loop goes on looking
 * for the next one for a moment instead of sleeping. It does everything else meanwhile as ever; questions
 * that come by themselves never make it linger.
 */
import type { Clock } from '@swarmd/base';

import { DNS_LINGER_AFTER, DNS_LINGER_AFTER_MAX, DNS_LINGER_MS } from '../limits.ts';

export interface LingerOptions {
  readonly clock: Clock;
  /** Comes back when the event loop has looked at all sockets once, without waiting. */
  readonly nextTurn: (step: () => void) => void;
}

export class Linger implements Disposable {
  readonly #options: LingerOptions;
  #askedAt = Number.NEGATIVE_INFINITY;
  /** Questions in a row of which each came soon after the one before. */
  #quick = 0;
  #lingers = false;
  /** How many of them it takes. */
  #needed = DNS_LINGER_AFTER;

  constructor(options: LingerOptions) {
    this.#options = options;
  }

  /** To be called with every question. */
  asked(): void {
    const now = this.#options.clock.monotonic();
    this.#quick = now - this.#askedAt < DNS_LINGER_MS ? this.#quick + 1 : 0;
    this.#askedAt = now;
    if (this.#lingers || this.#quick < this.#needed) return;
    this.#lingers = true;
    this.#quick = 0;
    this.#options.nextTurn(this.#look);
  }

  /** Looks no more. */
  [Symbol.dispose](): void {
    this.#askedAt = Number.NEGATIVE_INFINITY;
  }

  /** When nothing has come in time, it has to be earned anew: by more questions each time that few were caught. */
  readonly #look = (): void => {
    if (this.#options.clock.monotonic() - this.#askedAt < DNS_LINGER_MS) {
      this.#options.nextTurn(this.#look);
      return;
    }
    const isPaid = this.#quick >= this.#needed;
    this.#needed = isPaid ? DNS_LINGER_AFTER : Math.min(2 * this.#needed, DNS_LINGER_AFTER_MAX);
    this.#lingers = false;
    this.#quick = 0;
  };
}
