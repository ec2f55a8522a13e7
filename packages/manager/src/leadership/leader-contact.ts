/** How long this manager has known no leader: how old what it has may be, and whether to trust it. */
import type { Clock } from '@swarmd/base';
import type { Raft, RaftStatus } from '@swarmd/raft';

export class LeaderContact implements Disposable {
  readonly #clock: Clock;
  readonly #subscription: Disposable;
  /** Monotonic; undefined while a leader is known. */
  #lostAt: number | undefined;
  #lastGapMs = 0;

  constructor({ raft, clock }: { raft: Raft; clock: Clock }) {
    this.#clock = clock;
    this.#lostAt = clock.monotonic();
    this.#see(raft.status());
    this.#subscription = raft.onStatus((status) => this.#see(status));
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
  }

  /**
   * 0 while a leader is known. A member forgets a leader that it has not heard of for an election
   * timeout, and a leader itself when a quorum has not answered for as long.
   */
  get leaderlessMs(): number {
    return this.#lostAt === undefined ? 0 : this.#clock.monotonic() - this.#lostAt;
  }

  /** How long there was no leader before the present one. */
  get lastGapMs(): number {
    return this.#lastGapMs;
  }

  #see({ leader }: RaftStatus): void {
    if (leader === 0) {
      this.#lostAt ??= this.#clock.monotonic();
      return;
    }
    if (this.#lostAt !== undefined) this.#lastGapMs = this.leaderlessMs;
    this.#lostAt = undefined;
  }
}
