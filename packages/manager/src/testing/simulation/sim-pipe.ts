/** One direction of a connection: keeps the order, takes its time, holds what a cut link stops. */
import type { Clock } from '@swarmd/base';

export interface PipeOptions {
  readonly clock: Clock;
  readonly latencyMs: number;
  readonly isOpen: () => boolean;
}

export class SimPipe<T> {
  readonly #options: PipeOptions;
  readonly #arrive: (item: T) => void;
  #held: T[] = [];
  #isClosed = false;

  constructor(options: PipeOptions, arrive: (item: T) => void) {
    this.#options = options;
    this.#arrive = arrive;
  }

  send(item: T): void {
    const { clock, latencyMs } = this.#options;
    clock.after(latencyMs, () => this.#deliver(item));
  }

  /** The link is open again: what was held arrives. */
  flush(): void {
    const held = this.#held;
    this.#held = [];
    for (const item of held) this.#deliver(item);
  }

  close(): void {
    this.#isClosed = true;
    this.#held = [];
  }

  #deliver(item: T): void {
    if (this.#isClosed) return;
    if (this.#held.length > 0 || !this.#options.isOpen()) this.#held.push(item);
    else this.#arrive(item);
  }
}

/** What has arrived, for one reader. Ends when it is closed. */
export class Inbox<T> implements AsyncIterable<T> {
  #items: T[] = [];
  #isClosed = false;
  #wake: (() => void) | undefined;

  push(item: T): void {
    this.#items.push(item);
    this.#wake?.();
  }

  close(): void {
    this.#isClosed = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<T> {
    for (;;) {
      const item = this.#items.shift();
      if (item !== undefined) yield item;
      else if (this.#isClosed) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}
