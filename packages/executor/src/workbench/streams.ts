/** Output streams of a program as one sequence, read only as fast as it is consumed. */
import type { Readable } from 'node:stream';

import { abortReason } from '@swarmd/base';

export interface Output {
  readonly stream: 'stdout' | 'stderr';
  readonly data: Buffer;
}

/**
 * To be made as soon as the program is spawned: when a program ends, Node throws away what nobody
 * listens for.
 */
export class ProgramOutput {
  readonly #sources: readonly { stream: Output['stream']; readable: Readable }[];
  readonly #open = new Set<Readable>();
  #wake = (): void => undefined;

  constructor(streams: Readonly<Partial<Record<Output['stream'], Readable | null>>>) {
    this.#sources = Object.entries(streams).flatMap(([name, readable]) =>
      readable == null ? [] : [{ stream: name as Output['stream'], readable }],
    );
    for (const { readable } of this.#sources) {
      this.#open.add(readable);
      const onEnd = (): void => {
        this.#open.delete(readable);
        this.#wake();
      };
      readable.on('readable', () => this.#wake());
      readable.on('end', onEnd).on('close', onEnd).on('error', onEnd);
    }
  }

  /**
   * Ends when all streams have ended, or when `cut` resolves and nothing is left to read: a program may
   * leave children behind that hold its output open.
   */
  async *read(cut: Promise<void>, signal: AbortSignal): AsyncGenerator<Output> {
    let isCut = false;
    void cut.then(() => {
      isCut = true;
      this.#wake();
    });
    const onAbort = (): void => this.#wake();
    signal.addEventListener('abort', onAbort);
    try {
      for (;;) {
        if (signal.aborted) throw abortReason(signal);
        const woken = new Promise<void>((resolve) => (this.#wake = resolve));
        let isIdle = true;
        for (const { stream, readable } of this.#sources) {
          const data = readable.read() as Buffer | null;
          if (data === null) continue;
          isIdle = false;
          yield { stream, data };
        }
        if (!isIdle) continue;
        if (this.#open.size === 0 || isCut) return;
        await woken;
      }
    } finally {
      signal.removeEventListener('abort', onAbort);
      for (const { readable } of this.#sources) readable.destroy();
    }
  }
}
