/** Layers (by diffID) and blobs (by digest) that somebody is about to need, and how many do. */
export class Pins {
  readonly #counts = new Map<string, number>();

  has(id: string): boolean {
    return this.#counts.has(id);
  }

  /** Until it is disposed. */
  hold(ids: readonly string[]): Disposable {
    for (const id of ids) this.#counts.set(id, (this.#counts.get(id) ?? 0) + 1);
    return {
      [Symbol.dispose]: () => {
        for (const id of ids) {
          const left = (this.#counts.get(id) ?? 1) - 1;
          if (left === 0) this.#counts.delete(id);
          else this.#counts.set(id, left);
        }
      },
    };
  }
}
