/** "Something changed": waiters look again. Nothing is remembered for those who come later. */
import { abortReason } from '@swarmd/base';

export class Notice {
  readonly #waiters = new Set<() => void>();

  notify(): void {
    for (const wake of this.#waiters) wake();
  }

  /** Resolves at the next `notify`. */
  wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const wake = (): void => {
        this.#waiters.delete(wake);
        signal.removeEventListener('abort', wake);
        if (signal.aborted) reject(abortReason(signal));
        else resolve();
      };
      this.#waiters.add(wake);
      signal.addEventListener('abort', wake);
      if (signal.aborted) wake();
    });
  }
}
