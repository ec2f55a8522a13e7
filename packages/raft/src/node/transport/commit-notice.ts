/**
 * Appends without entries only tell a peer how far the log is committed. Nobody waits for that but the
 * peer's own state machine (reads there are confirmed by a heartbeat, which tells it too), and under
 * writes the next entries follow within milliseconds and tell it as well. So such a message waits a
 * moment: without it a write costs a peer one message and one answer instead of two of each.
 */
import type { Clock, Timer } from '@swarmd/base';

import type { Message } from '../../core/types.ts';
import { COMMIT_NOTICE_MS } from '../limits.ts';

type Append = Extract<Message, { kind: 'append' }>;

export class CommitNotice implements Disposable {
  readonly #clock: Clock;
  readonly #send: (message: Append) => void;
  /** The newest one, and since when the peer has not been told. */
  #held: { readonly message: Append; readonly since: number } | undefined;
  #timer: Timer | undefined;

  /** `send` gets what nothing has made superfluous within COMMIT_NOTICE_MS. */
  constructor(clock: Clock, send: (message: Append) => void) {
    this.#clock = clock;
    this.#send = send;
  }

  /** Sees everything that is to be sent to the peer, in order. @returns true when it keeps it. */
  keeps(message: Message): boolean {
    if (message.kind !== 'append') return false;
    if (message.entries.length > 0) {
      // Commit indexes never go back: it says at least as much as what is held.
      this.#held = undefined;
      return false;
    }
    this.#held = { message, since: this.#held?.since ?? this.#clock.monotonic() };
    this.#arm(COMMIT_NOTICE_MS);
    return true;
  }

  [Symbol.dispose](): void {
    this.#timer?.cancel();
    this.#held = undefined;
  }

  /** One timer for the notices of many writes: moving it with each would cost more than it saves. */
  #arm(ms: number): void {
    this.#timer ??= this.#clock.after(ms, () => {
      this.#timer = undefined;
      if (this.#held === undefined) return;
      const { message, since } = this.#held;
      const leftMs = since + COMMIT_NOTICE_MS - this.#clock.monotonic();
      if (leftMs > 0) {
        this.#arm(leftMs);
        return;
      }
      this.#held = undefined;
      this.#send(message);
    });
  }
}
