/**
 * Read barriers on their way through the core. Every attempt gets an id of its own, so that a late
 * answer cannot confirm a newer question (etcd #20418); unanswered ones are asked again, and all of them
 * as soon as somebody leads.
 */
import type { Clock } from '@swarmd/base';

interface Waiting {
  attempt: number;
  askedAt: number;
}

export interface ReadsPorts {
  readonly clock: Clock;
  /** An answer that takes longer is not waited for. */
  readonly retryMs: number;
  ask(attempt: number): void;
  answer(id: number, index: number): void;
}

export class Reads {
  readonly #ports: ReadsPorts;
  readonly #waiting = new Map<number, Waiting>();
  readonly #attempts = new Map<number, number>();
  #lastAttempt: number;

  /** `firstAttempt` should be random: answers to a former life of this member may be under way. */
  constructor(firstAttempt: number, ports: ReadsPorts) {
    this.#lastAttempt = firstAttempt;
    this.#ports = ports;
  }

  add(id: number): void {
    const waiting = { attempt: 0, askedAt: 0 };
    this.#waiting.set(id, waiting);
    this.#ask(id, waiting);
  }

  /** The caller has given up. */
  forget(id: number): void {
    const waiting = this.#waiting.get(id);
    if (waiting !== undefined) this.#attempts.delete(waiting.attempt);
    this.#waiting.delete(id);
  }

  /** True when `attempt` is one of ours. */
  owns(attempt: number): boolean {
    return this.#attempts.has(attempt);
  }

  confirmed(attempt: number, index: number): void {
    const id = this.#attempts.get(attempt);
    if (id === undefined) return;
    this.forget(id);
    this.#ports.answer(id, index);
  }

  /** With every tick. */
  retry(): void {
    const now = this.#ports.clock.monotonic();
    for (const [id, waiting] of this.#waiting) {
      if (now - waiting.askedAt >= this.#ports.retryMs) this.#ask(id, waiting);
    }
  }

  /** A new leader: whoever was asked before does not answer any more. */
  askAnew(): void {
    for (const [id, waiting] of this.#waiting) this.#ask(id, waiting);
  }

  #ask(id: number, waiting: Waiting): void {
    this.#attempts.delete(waiting.attempt);
    this.#lastAttempt += 1;
    waiting.attempt = this.#lastAttempt;
    waiting.askedAt = this.#ports.clock.monotonic();
    this.#attempts.set(waiting.attempt, id);
    this.#ports.ask(waiting.attempt);
  }
}
