/** Dice for simulations, all from one seed. */
import { SeededRandom } from '@swarmd/base/testing';

export class Chance {
  readonly #random: SeededRandom;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
  }

  next(): number {
    return this.#random.next();
  }

  /** True with probability `p`. */
  happens(p: number): boolean {
    return this.next() < p;
  }

  /** A whole number in [low, high]. */
  between(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  pick<T>(items: readonly T[]): T | undefined {
    return items[Math.floor(this.next() * items.length)];
  }
}
