/**
 * One read barrier for everybody who waits for one: with thousands of sessions that begin at once, a
 * question each would be refused for their number.
 *
 * Invariant: a caller's barrier begins after the caller asked. So who asks while one is under way
 * waits for the next.
 */
import { withDeadline, type Clock } from '@swarmd/base';
import type { Raft } from '@swarmd/raft';

interface BarrierOptions {
  readonly raft: Pick<Raft, 'readBarrier'>;
  readonly clock: Clock;
  /** For each barrier; those that wait for the next one wait up to twice as long. */
  readonly timeoutMs: number;
}

export class SharedBarrier {
  readonly #options: BarrierOptions;
  #running: Promise<void> = Promise.resolve();
  /** Not begun yet: whoever asks now joins it. */
  #next: Promise<void> | undefined;

  constructor(options: BarrierOptions) {
    this.#options = options;
  }

  /** Resolves once this replica has everything that was committed when it was called. */
  wait(): Promise<void> {
    this.#next ??= this.#afterRunning();
    return this.#next;
  }

  async #afterRunning(): Promise<void> {
    // How the one before ended is its callers' affair.
    await this.#running.catch(() => undefined);
    const { raft, clock, timeoutMs } = this.#options;
    const what = 'confirming with the other managers that this one is up to date';
    this.#next = undefined;
    this.#running = withDeadline({ clock, timeoutMs, what }, (signal) => raft.readBarrier(signal));
    await this.#running;
  }
}
