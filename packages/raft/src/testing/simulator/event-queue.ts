/** Simulated time: what is due, in order of time and then of scheduling. */
import { assert } from '@swarmd/base';

interface Event {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

export class EventQueue {
  /** A binary heap, earliest first. */
  readonly #heap: Event[] = [];
  #order = 0;
  #now = 0;

  /** Milliseconds since the start. */
  get now(): number {
    return this.#now;
  }

  after(delayMs: number, run: () => void): void {
    const event: Event = { at: this.#now + delayMs, order: this.#order++, run };
    this.#heap.push(event);
    this.#up(this.#heap.length - 1);
  }

  /** Runs the next event; false if it would be later than `endMs`, which is the time then. */
  step(endMs: number): boolean {
    const next = this.#heap[0];
    if (!next || next.at > endMs) {
      this.#now = endMs;
      return false;
    }
    this.#removeFirst();
    assert(next.at >= this.#now, 'time does not run backwards');
    this.#now = next.at;
    next.run();
    return true;
  }

  #removeFirst(): void {
    const last = this.#heap.pop();
    if (!last || this.#heap.length === 0) return;
    this.#heap[0] = last;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      let first = at;
      if (this.#before(left, first)) first = left;
      if (this.#before(left + 1, first)) first = left + 1;
      if (first === at) return;
      this.#swap(at, first);
      at = first;
    }
  }

  #up(start: number): void {
    let at = start;
    while (at > 0) {
      const parent = Math.floor((at - 1) / 2);
      if (!this.#before(at, parent)) return;
      this.#swap(at, parent);
      at = parent;
    }
  }

  #before(a: number, b: number): boolean {
    const first = this.#heap[a];
    const second = this.#heap[b];
    if (!first || !second) return false;
    return first.at < second.at || (first.at === second.at && first.order < second.order);
  }

  #swap(a: number, b: number): void {
    const first = this.#heap[a];
    const second = this.#heap[b];
    if (!first || !second) return;
    this.#heap[a] = second;
    this.#heap[b] = first;
  }
}
