/**
 * The least of candidates of which most are in order already: those that are not, a few, are kept in a heap;
 * the others are made one by one, and few are ever looked at.
 */
import { Heap } from './heap.ts';

export interface LazyOptions<C> {
  /** In any order. */
  readonly few: readonly C[];
  /** The others, the least first. */
  readonly others: Iterator<C>;
  readonly less: (a: C, b: C) => boolean;
  /** What does not fit is not looked at again. */
  readonly fits: (candidate: C) => boolean;
}

export class LazyChoice<C> {
  readonly #options: LazyOptions<C>;
  readonly #few: Heap<C>;
  /** First of the others, once it was looked for. */
  #other: C | undefined;
  #best: C | undefined;

  constructor(options: LazyOptions<C>) {
    this.#options = options;
    this.#few = new Heap([...options.few], options.less);
  }

  /** The candidate whose turn it is, among those that fit; they may have ceased to. */
  best(): C | undefined {
    const few = this.#firstOfFew();
    const other = this.#firstOther();
    const isOther = few === undefined || (other !== undefined && this.#options.less(other, few));
    this.#best = isOther ? other : few;
    return this.#best;
  }

  /** A task was placed where `best` said, which comes later from now on. */
  took(): void {
    if (this.#best === undefined) return;
    if (this.#best === this.#other) {
      this.#few.push(this.#other);
      this.#other = undefined;
    } else this.#few.settleTop();
  }

  #firstOfFew(): C | undefined {
    for (;;) {
      const top = this.#few.peek();
      if (top === undefined || this.#options.fits(top)) return top;
      this.#few.dropTop();
    }
  }

  #firstOther(): C | undefined {
    const { others, fits } = this.#options;
    while (this.#other === undefined || !fits(this.#other)) {
      const next = others.next();
      this.#other = next.done === true ? undefined : next.value;
      if (this.#other === undefined) return undefined;
    }
    return this.#other;
  }
}
