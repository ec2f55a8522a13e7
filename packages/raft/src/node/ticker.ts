/**
 * The core's clock. After a stall one tick is delivered, not all that were missed, and only after
 * the sockets were read: the leader's heartbeats may be waiting there.
 */
import type { Clock, Timer } from '@swarmd/base';

export class Ticker implements Disposable {
  readonly #clock: Clock;
  readonly #tickMs: number;
  readonly #tick: (latenessMs: number) => void;
  #timer: Timer | undefined;
  #due: number;
  #stopped = false;

  constructor(clock: Clock, tickMs: number, tick: (latenessMs: number) => void) {
    this.#clock = clock;
    this.#tickMs = tickMs;
    this.#tick = tick;
    this.#due = clock.monotonic();
    this.#arm();
  }

  [Symbol.dispose](): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #arm(): void {
    if (this.#stopped) return;
    const now = this.#clock.monotonic();
    // Keeps the rhythm as long as it can; after a stall the rhythm starts anew.
    this.#due = Math.max(this.#due + this.#tickMs, now);
    this.#timer = this.#clock.after(this.#due - now, () => {
      // Immediates run after the poll phase, which reads what the sockets hold.
      setImmediate(() => this.#fire());
    });
  }

  #fire(): void {
    if (this.#stopped) return;
    const lateness = this.#clock.monotonic() - this.#due;
    this.#tick(Math.max(0, lateness));
    this.#arm();
  }
}
