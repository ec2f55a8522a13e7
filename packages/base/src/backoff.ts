/** Exponential backoff with jitter: full jitter between half and the whole of the current step. */
import type { Random } from './ports.ts';

export interface BackoffOptions {
  readonly firstMs: number;
  readonly maxMs: number;
}

export class Backoff {
  readonly #options: BackoffOptions;
  readonly #random: Random;
  #attempt = 0;

  constructor(options: BackoffOptions, random: Random) {
    this.#options = options;
    this.#random = random;
  }

  /** The next delay in milliseconds; grows by two with each call until `maxMs`. */
  nextMs(): number {
    const step = Math.min(this.#options.maxMs, this.#options.firstMs * 2 ** this.#attempt);
    if (step < this.#options.maxMs) this.#attempt += 1;
    return step / 2 + (this.#random.next() * step) / 2;
  }

  /** To be called after a success. */
  reset(): void {
    this.#attempt = 0;
  }
}
