/** What changed lately, so that what is derived from many things follows without looking at all of them. */

export class Journal<Id> {
  readonly #max: number;
  #ids: Id[] = [];
  /** Changes before the first one that is kept. */
  #dropped = 0;

  /** `max`: changes that are remembered; who is further behind reads everything instead. */
  constructor(max: number) {
    this.#max = max;
  }

  note(id: Id): void {
    if (this.#ids.length >= this.#max) {
      const half = this.#max >> 1;
      this.#ids = this.#ids.slice(half);
      this.#dropped += half;
    }
    this.#ids.push(id);
  }

  /** `ids`: everything that changed since `mark`, some more than once; undefined when that is too long ago. */
  since(mark: number | undefined): { mark: number; ids: readonly Id[] | undefined } {
    const now = this.#dropped + this.#ids.length;
    if (mark === undefined || mark < this.#dropped) return { mark: now, ids: undefined };
    return { mark: now, ids: mark === now ? [] : this.#ids.slice(mark - this.#dropped) };
  }
}
