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
export class Inbox<T> implements AsyncIterable<T>, AsyncIterator<T> {
  readonly #items: T[] = [];
  #isClosed = false;
  #waiting: ((result: IteratorResult<T>) => void) | undefined;

  push(item: T): void {
    if (this.#isClosed) return;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting === undefined) this.#items.push(item);
    else waiting({ done: false, value: item });
  }

  close(): void {
    this.#isClosed = true;
    this.#waiting?.({ done: true, value: undefined });
  }

  next(): Promise<IteratorResult<T>> {
    const value = this.#items.shift();
    if (value !== undefined) return Promise.resolve({ done: false, value });
    if (this.#isClosed) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => (this.#waiting = resolve));
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
