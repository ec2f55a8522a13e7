/** A bounded first-in first-out queue between one producer side and one consumer. */
import { assert } from './errors.ts';
import { abortReason } from './wait.ts';

export class BoundedQueue<T> {
  readonly #items: T[] = [];
  readonly #capacity: number;
  #wake: (() => void) | undefined;
  #closed = false;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#items.length;
  }

  /** False when the queue is full or closed: the producer decides what that means. */
  offer(item: T): boolean {
    if (this.#closed || this.#items.length >= this.#capacity) return false;
    this.#items.push(item);
    this.#wake?.();
    return true;
  }

  /** Everything waiting, oldest first, without blocking. */
  drain(): T[] {
    return this.#items.splice(0);
  }

  /** Waits until something is there; undefined once closed and empty. */
  async take(signal: AbortSignal): Promise<T | undefined> {
    for (;;) {
      if (signal.aborted) throw abortReason(signal);
      const item = this.#items.shift();
      if (item !== undefined || this.#closed) return item;
      assert(this.#wake === undefined, 'a BoundedQueue has one consumer');
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          signal.removeEventListener('abort', wake);
          this.#wake = undefined;
          resolve();
        };
        this.#wake = wake;
        signal.addEventListener('abort', wake, { once: true });
      });
    }
  }

  /** No more offers; what is queued can still be taken. */
  close(): void {
    this.#closed = true;
    this.#wake?.();
  }
}
