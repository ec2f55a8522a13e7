/**
 * Tells a network that was out from a manager that is slow. TCP repeats what was lost in ever longer
 * pauses: after a second and a half without a network it waits as long again, and a node that is
 * well would be given up for its silence. Connections are tried beside the silent one then: when one is
 * made after others failed, the network is back, and the old connection is not worth waiting for. A manager
 * that only is slow takes connections all the time, and gets no second session on top of its work.
 */
import { errorMessage, sleep, type Clock, type Logger } from '@swarmd/base';

export interface LinkWatchOptions {
  /** Whether a connection to the manager can be made; must answer within `everyMs`, then false. */
  readonly reaches: (timeoutMs: number, signal: AbortSignal) => Promise<boolean>;
  /** How often that is tried. */
  readonly everyMs: number;
  /** The network was out and is back. */
  readonly onReturn: () => void;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

export class LinkWatch {
  readonly #options: LinkWatchOptions;
  #heard: AbortController | undefined;

  constructor(options: LinkWatchOptions) {
    this.#options = options;
  }

  /** The connection that is watched brought something: all is well. */
  heard(): void {
    this.#heard?.abort();
    this.#heard = undefined;
  }

  /** An answer is late. */
  silent(): void {
    if (this.#heard !== undefined || this.#options.signal.aborted) return;
    const heard = new AbortController();
    this.#heard = heard;
    const signal = AbortSignal.any([heard.signal, this.#options.signal]);
    this.#try(signal).catch((error: unknown) => {
      if (signal.aborted) return;
      const text = 'trying whether a manager can be reached failed';
      this.#options.logger.warn({ error: errorMessage(error) }, text);
    });
  }

  async #try(signal: AbortSignal): Promise<void> {
    const { reaches, everyMs, onReturn, clock } = this.#options;
    let failed = 0;
    while (!signal.aborted) {
      const next = sleep(clock, everyMs, signal);
      // Awaited below, unless this ends before.
      next.catch(() => undefined);
      const isReached = await reaches(everyMs, signal);
      if (signal.aborted) return;
      if (!isReached) failed += 1;
      else if (failed > 0) return onReturn();
      await next;
    }
  }
}
