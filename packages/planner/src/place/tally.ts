/** How many hold what, by key; drawn over another tally, which it leaves as it is. */
export class Tally {
  readonly #below: Tally | undefined;
  /** What is added to `#below`. Made when there is something: most are never written to. */
  #own: Map<string, number> | undefined;

  constructor(below?: Tally) {
    this.#below = below;
  }

  get(key: string): number {
    return (this.#own?.get(key) ?? 0) + (this.#below?.get(key) ?? 0);
  }

  has(key: string): boolean {
    return this.get(key) !== 0;
  }

  add(key: string, change: number): void {
    this.#own ??= new Map();
    const next = (this.#own.get(key) ?? 0) + change;
    if (next === 0) this.#own.delete(key);
    else this.#own.set(key, next);
  }

  /** What somebody holds. */
  *entries(): Iterable<[key: string, count: number]> {
    const keys = new Set([...(this.#own?.keys() ?? []), ...(this.#below?.keys() ?? [])]);
    for (const key of keys) if (this.has(key)) yield [key, this.get(key)];
  }

  *keys(): Iterable<string> {
    for (const [key] of this.entries()) yield key;
  }
}
