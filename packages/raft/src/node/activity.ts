/**
 * Which peers were heard lately. The core's own `recentActive` is a question it asks once per
 * election timeout and clears right after: good for its quorum check, wrong for a glance at any
 * other moment.
 */
import type { Clock } from '@swarmd/base';

import type { Status } from '../core/types.ts';

export class Activity {
  readonly #clock: Clock;
  readonly #windowMs: number;
  readonly #heardAt = new Map<number, number>();

  /** Who was silent for `windowMs` is not active. */
  constructor(clock: Clock, windowMs: number) {
    this.#clock = clock;
    this.#windowMs = windowMs;
  }

  heard(peer: number): void {
    this.#heardAt.set(peer, this.#clock.monotonic());
  }

  forget(peer: number): void {
    this.#heardAt.delete(peer);
  }

  /** Undefined when it was not heard since the start. */
  silentMs(peer: number): number | undefined {
    const heardAt = this.#heardAt.get(peer);
    return heardAt === undefined ? undefined : this.#clock.monotonic() - heardAt;
  }

  /** The status with `recentActive` as of now. */
  seenIn(status: Status): Status {
    const since = this.#clock.monotonic() - this.#windowMs;
    const progress = status.progress.map((peer) => ({
      ...peer,
      recentActive: peer.id === status.id || (this.#heardAt.get(peer.id) ?? -Infinity) >= since,
    }));
    return { ...status, progress };
  }
}
