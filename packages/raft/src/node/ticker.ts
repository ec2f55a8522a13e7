/**
 * The core's clock. After a stall one tick is delivered, not all that were missed, and only after
 * the sockets were read: the leader's heartbeats may be waiting there.
 */
import type { Clock, Timer } from '@swarmd/base';

export interface TickerPorts {
  readonly clock: Clock;
  /** Runs `fn` once the sockets were read. */
  soon(fn: () => void): void;
  tick(latenessMs: number): void;
}

export class Ticker implements Disposable {
  readonly #ports: TickerPorts;
  readonly #tickMs: number;
  #timer: Timer | undefined;
  #due: number;
  #stopped = false;

  constructor(ports: TickerPorts, tickMs: number) {
    this.#ports = ports;
    this.#tickMs = tickMs;
    this.#due = ports.clock.monotonic();
    this.#arm();
  }

  [Symbol.dispose](): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #arm(): void {
    if (this.#stopped) return;
    const { clock } = this.#ports;
    const now = clock.monotonic();
    // Keeps the rhythm as long as it can; after a stall it starts anew, and the ticks missed are missed.
    const next = this.#due + this.#tickMs;
    this.#due = next > now ? next : now + this.#tickMs;
    this.#timer = clock.after(this.#due - now, () => this.#ports.soon(() => this.#fire()));
  }

  #fire(): void {
    if (this.#stopped) return;
    const lateness = this.#ports.clock.monotonic() - this.#due;
    this.#ports.tick(Math.max(0, lateness));
    this.#arm();
  }
}
