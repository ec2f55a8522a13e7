/** Deterministic time, chance and ids for tests and simulations. */
import type { Clock, Ids, Timer } from './ports.ts';

export {
  checkLinearizable,
  register,
  type Operation,
  type RegisterOperation,
  type SequentialModel,
  type Verdict,
} from './linearizability.ts';

export { OTHER_KERNEL_TIMEOUT_MS, outputOnOtherKernel } from './system/other-kernel.ts';
export { freePort } from './system/free-port.ts';
export { Dice } from './dice.ts';
export { mutated, type Mutation } from './mutation.ts';
export { failingTest } from './system/mutated-tests.ts';
export { positive, playSeeds, SEED_OPTIONS, SEED_USAGE } from './system/play-seeds.ts';
export { SeededRandom } from './seeded-random.ts';
export { until } from './until.ts';

interface Pending {
  readonly at: number;
  readonly order: number;
  /** Undefined once cancelled: it leaves the heap when its time comes. */
  fn: (() => void) | undefined;
}

/** A clock that stands still until it is advanced. Timers fire in order of time, then of creation. */
export class ManualClock implements Clock {
  #now: number;
  #order = 0;
  /** A binary heap, so that simulations may have many thousands of timers. */
  readonly #pending: Pending[] = [];

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
    const entry: Pending = {
      at: this.#now + Math.max(0, delayMs),
      order: (this.#order += 1),
      fn,
    };
    this.#pending.push(entry);
    this.#rise(this.#pending.length - 1);
    return {
      cancel: () => {
        entry.fn = undefined;
      },
    };
  }

  /** Moves time forward, firing what falls due on the way. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const next = this.#earliest();
      if (next === undefined || next.at > end) break;
      this.#dropFirst();
      this.#now = next.at;
      next.fn?.();
    }
    this.#now = Math.max(this.#now, end); // A timer may itself have advanced the clock.
  }

  /** Milliseconds until the next timer, or undefined when none is set. */
  nextTimerInMs(): number | undefined {
    const next = this.#earliest();
    return next === undefined ? undefined : next.at - this.#now;
  }

  #earliest(): Pending | undefined {
    while (this.#pending[0] !== undefined && this.#pending[0].fn === undefined) this.#dropFirst();
    return this.#pending[0];
  }

  #dropFirst(): void {
    const last = this.#pending.pop();
    if (last === undefined || this.#pending.length === 0) return;
    this.#pending[0] = last;
    this.#sink();
  }

  #rise(from: number): void {
    for (let at = from; at > 0;) {
      const parent = (at - 1) >> 1;
      if (!this.#swapIfBefore(at, parent)) return;
      at = parent;
    }
  }

  #sink(): void {
    for (let at = 0; ;) {
      const left = 2 * at + 1;
      const least = this.#isBefore(left + 1, left) ? left + 1 : left;
      if (!this.#swapIfBefore(least, at)) return;
      at = least;
    }
  }

  #isBefore(a: number, b: number): boolean {
    const one = this.#pending[a];
    const other = this.#pending[b];
    if (one === undefined || other === undefined) return false;
    return one.at < other.at || (one.at === other.at && one.order < other.order);
  }

  #swapIfBefore(a: number, b: number): boolean {
    if (!this.#isBefore(a, b)) return false;
    const [one, other] = [this.#pending[a], this.#pending[b]];
    if (one !== undefined && other !== undefined) {
      this.#pending[a] = other;
      this.#pending[b] = one;
    }
    return true;
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
