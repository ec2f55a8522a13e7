/** Deterministic time, chance and ids for tests and simulations. */
import type { Clock, Ids, Random, Timer } from './ports.ts';

interface Pending {
  readonly at: number;
  readonly order: number;
  readonly fn: () => void;
}

/** A clock that stands still until it is advanced. Timers fire in order of time, then of creation. */
export class ManualClock implements Clock {
  #now: number;
  #order = 0;
  readonly #pending = new Set<Pending>();

  constructor(startMs = 0) {
    this.#now = startMs;
  }

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#now;
  }

  after(delayMs: number, fn: () => void): Timer {
    const entry = { at: this.#now + Math.max(0, delayMs), order: (this.#order += 1), fn };
    this.#pending.add(entry);
    return { cancel: () => void this.#pending.delete(entry) };
  }

  /** Moves time forward, firing what falls due on the way. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const next = this.#earliest();
      if (next === undefined || next.at > end) break;
      this.#pending.delete(next);
      this.#now = next.at;
      next.fn();
    }
    this.#now = Math.max(this.#now, end); // A timer may itself have advanced the clock.
  }

  /** Milliseconds until the next timer, or undefined when none is set. */
  nextTimerInMs(): number | undefined {
    const next = this.#earliest();
    return next === undefined ? undefined : next.at - this.#now;
  }

  #earliest(): Pending | undefined {
    let first: Pending | undefined;
    for (const entry of this.#pending) {
      if (
        first === undefined ||
        entry.at < first.at ||
        (entry.at === first.at && entry.order < first.order)
      ) {
        first = entry;
      }
    }
    return first;
  }
}

/** mulberry32: small, fast, good enough for simulations; the same seed gives the same sequence. */
export class SeededRandom implements Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** Uniform integer in [0, bound). */
  below(bound: number): number {
    return Math.floor(this.next() * bound);
  }
}

/** Ids `PREFIX1`, `PREFIX2`, ... */
export class SequentialIds implements Ids {
  readonly #prefix: string;
  #count = 0;

  constructor(prefix = 'id') {
    this.#prefix = prefix;
  }

  next(): string {
    return `${this.#prefix}${(this.#count += 1)}`;
  }
}
