/** A counting semaphore: at most so many at the same time, first come, first served. */
import { abortReason } from '@swarmd/base';

export class Slots {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  async run<T>(signal: AbortSignal, fn: () => Promise<T>): Promise<T> {
    await this.#acquire(signal);
    try {
      return await fn();
    } finally {
      this.#free += 1;
      this.#waiting.shift()?.();
    }
  }

  async #acquire(signal: AbortSignal): Promise<void> {
    while (this.#free === 0) {
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          signal.removeEventListener('abort', wake);
          const at = this.#waiting.indexOf(wake);
          if (at >= 0) this.#waiting.splice(at, 1);
          resolve();
        };
        this.#waiting.push(wake);
        signal.addEventListener('abort', wake, { once: true });
        if (signal.aborted) wake();
      });
      if (signal.aborted) {
        // The turn may have been ours: pass it on.
        if (this.#free > 0) this.#waiting.shift()?.();
        throw abortReason(signal);
      }
    }
    this.#free -= 1;
  }
}
