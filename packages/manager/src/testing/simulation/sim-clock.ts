/** A machine's clock: the simulation's time, with its own idea of the hour. */
import type { Clock, Timer } from '@swarmd/base';

export class SkewedClock implements Clock {
  readonly #clock: Clock;
  readonly #skewMs: number;

  constructor(clock: Clock, skewMs: number) {
    this.#clock = clock;
    this.#skewMs = skewMs;
  }

  now(): number {
    return Math.floor(this.#clock.now() + this.#skewMs);
  }

  monotonic(): number {
    return this.#clock.monotonic();
  }

  after(delayMs: number, fn: () => void): Timer {
    return this.#clock.after(delayMs, fn);
  }
}
