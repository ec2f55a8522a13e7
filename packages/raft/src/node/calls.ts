/** Calls from the main thread to the worker that wait for an outcome, with their signals. */
import { abortReason, SwarmError } from '@swarmd/base';

import type { WireError } from './worker-protocol.ts';

interface Call<T> {
  resolve(outcome: T): void;
  reject(error: Error): void;
}

/** `T`: what the worker answers, an index of the log for most. */
export class Calls<T = number> {
  readonly #limit: number;
  readonly #what: string;
  readonly #calls = new Map<number, Call<T>>();

  /** `what` names the calls in the error of a full table. */
  constructor(limit: number, what: string) {
    this.#limit = limit;
    this.#what = what;
  }

  /**
   * Registers call `id` and runs `start`. When the signal aborts the caller is told at once; the
   * worker may still finish the call (`onAbort` lets it know where that matters).
   */
  run(
    id: number,
    signal: AbortSignal,
    steps: { start: () => void; onAbort?: () => void },
  ): Promise<T> {
    if (signal.aborted) return Promise.reject(abortReason(signal));
    if (this.#calls.size >= this.#limit) {
      return Promise.reject(
        new SwarmError(
          'resource-exhausted',
          `${this.#limit} ${this.#what} are waiting already; nothing was changed, try again later`,
        ),
      );
    }
    return new Promise<T>((resolve, reject) => {
      const onAbort = (): void => {
        this.#calls.delete(id);
        reject(abortReason(signal));
        steps.onAbort?.();
      };
      const settled = (): void => signal.removeEventListener('abort', onAbort);
      signal.addEventListener('abort', onAbort, { once: true });
      this.#calls.set(id, {
        resolve: (outcome) => {
          settled();
          resolve(outcome);
        },
        reject: (error) => {
          settled();
          reject(error);
        },
      });
      steps.start();
    });
  }

  has(id: number): boolean {
    return this.#calls.has(id);
  }

  resolve(id: number, outcome: T): void {
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    call?.resolve(outcome);
  }

  reject(id: number, error: WireError): void {
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    call?.reject(new SwarmError(error.code, error.message));
  }

  rejectAll(error: Error): void {
    for (const call of this.#calls.values()) call.reject(error);
    this.#calls.clear();
  }
}
