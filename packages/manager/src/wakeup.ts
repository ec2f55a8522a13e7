/** Level-triggered waiting: many wakes before a wait count as one; none is lost. */
import { abortReason, type Clock } from '@swarmd/base';

export class Wakeup {
  #awake = false;
  readonly #waiting = new Set<() => void>();

  /** Every present waiter continues; with none, the next wait returns at once. */
  wake(): void {
    if (this.#waiting.size === 0) this.#awake = true;
    for (const resume of this.#waiting) resume();
  }

  /** Resolves at the next wake, or after `timeout` if one is given. Throws when aborted. */
  wait(signal: AbortSignal, timeout?: { clock: Clock; ms: number }): Promise<void> {
    if (signal.aborted) return Promise.reject(abortReason(signal));
    if (this.#awake) {
      this.#awake = false;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const finish = (): void => {
        this.#waiting.delete(finish);
        timer?.cancel();
        signal.removeEventListener('abort', finish);
        if (signal.aborted) reject(abortReason(signal));
        else resolve();
      };
      const timer = timeout?.clock.after(timeout.ms, finish);
      this.#waiting.add(finish);
      signal.addEventListener('abort', finish, { once: true });
    });
  }
}
