/** Chance of one seed: every choice of a simulation comes from here. */
import { SeededRandom } from './seeded-random.ts';

export class Dice {
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
    return low + this.#random.below(high - low + 1);
  }

  /** One of a list that is not empty. */
  pick<T>(items: readonly [T, ...(readonly T[])]): T {
    return items[this.#random.below(items.length)] ?? items[0];
  }

  /** One of a list, if there is any. */
  maybe<T>(items: readonly T[]): T | undefined {
    return items[this.#random.below(items.length)];
  }
}
