/** One member's clock: it drifts, stands still while the member is paused, and dies with it. */
import type { Clock, Timer } from '@swarmd/base';

export interface ClockWorld {
  /** Simulated milliseconds. */
  now(): number;
  after(delayMs: number, run: () => void): void;
}

export class SimClock implements Clock {
  readonly #world: ClockWorld;
  /** Its second takes so many of the world's. */
  readonly #drift: number;
  readonly #guard: (run: () => void) => void;

  /** `guard` runs what is due, later when the member is paused, never when it is dead. */
  constructor(world: ClockWorld, drift: number, guard: (run: () => void) => void) {
    this.#world = world;
    this.#drift = drift;
    this.#guard = guard;
  }

  now(): number {
    return this.monotonic();
  }

  monotonic(): number {
    return this.#world.now() / this.#drift;
  }

  after(delayMs: number, fn: () => void): Timer {
    let cancelled = false;
    this.#world.after(Math.max(0, delayMs) * this.#drift, () =>
      this.#guard(() => {
        if (!cancelled) fn();
      }),
    );
    return { cancel: () => void (cancelled = true) };
  }
}
