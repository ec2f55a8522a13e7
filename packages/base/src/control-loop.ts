/**
 * The one loop every controller runs on. Keys, never events: a key is queued once however often it
 * is asked for, never runs twice at the same time, is retried with backoff when it fails, and can
 * ask to be run again later.
 *
 * Invariants: running(k) <= 1; a request during a run leads to exactly one further run.
 */
import { Backoff, type BackoffOptions } from './backoff.ts';
import { errorMessage } from './errors.ts';
import type { Clock, Logger, Random, Timer } from './ports.ts';

export interface ControlLoopOptions {
  readonly name: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Keys that may run at the same time; 1 unless said otherwise. */
  readonly concurrency?: number;
  /** After a run, a key that is asked for again waits this long so that changes gather. */
  readonly debounceMs?: number;
  readonly retry?: BackoffOptions;
}

/** What a run may answer: run this key again after so many milliseconds. */
export type ReconcileResult = { readonly requeueAfterMs?: number } | undefined | void;

interface KeyState {
  queued: boolean;
  running: boolean;
  again: boolean;
  backoff: Backoff | undefined;
  timer: Timer | undefined;
  timerAt: number;
  /** Set while nobody asks for the key: when its debounce window can no longer matter. */
  expiry: Timer | undefined;
  lastRunAt: number;
}

const DEFAULT_RETRY: BackoffOptions = { firstMs: 50, maxMs: 10_000 };

export class ControlLoop implements AsyncDisposable {
  readonly #options: ControlLoopOptions;
  readonly #reconcile: (
    key: string,
    signal: AbortSignal,
  ) => ReconcileResult | Promise<ReconcileResult>;
  readonly #states = new Map<string, KeyState>();
  readonly #ready: string[] = [];
  readonly #controller = new AbortController();
  #running = 0;
  #idle: (() => void) | undefined;
  #disposed: Promise<void> | undefined;

  constructor(
    options: ControlLoopOptions,
    reconcile: (key: string, signal: AbortSignal) => ReconcileResult | Promise<ReconcileResult>,
  ) {
    this.#options = options;
    this.#reconcile = reconcile;
  }

  /** Asks for a run of `key` as soon as possible (after the debounce if it has just run). */
  enqueue(key: string): void {
    if (this.#controller.signal.aborted) return;
    const state = this.#state(key);
    if (state.running) {
      state.again = true;
      return;
    }
    const sinceLast = this.#options.clock.monotonic() - state.lastRunAt;
    const wait = (this.#options.debounceMs ?? 0) - sinceLast;
    if (wait > 0) this.#schedule(key, state, wait);
    else this.#push(key, state);
  }

  /** Asks for a run of `key` after a delay; an earlier request wins. */
  enqueueAfter(key: string, delayMs: number): void {
    if (this.#controller.signal.aborted) return;
    this.#schedule(key, this.#state(key), delayMs);
  }

  /** Number of keys queued, running or waiting for a timer. */
  get size(): number {
    return this.#states.size;
  }

  /** Aborts what runs and waits for it; what waits for its turn or a timer is forgotten. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#disposed ??= this.#dispose();
    return this.#disposed;
  }

  async #dispose(): Promise<void> {
    this.#controller.abort();
    for (const state of this.#states.values()) {
      state.timer?.cancel();
      state.expiry?.cancel();
    }
    this.#ready.length = 0;
    if (this.#running > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
    this.#states.clear();
  }

  #state(key: string): KeyState {
    let state = this.#states.get(key);
    if (state === undefined) {
      state = {
        queued: false,
        running: false,
        again: false,
        backoff: undefined,
        timer: undefined,
        timerAt: 0,
        expiry: undefined,
        lastRunAt: Number.NEGATIVE_INFINITY,
      };
      this.#states.set(key, state);
    }
    return state;
  }

  #schedule(key: string, state: KeyState, delayMs: number): void {
    const at = this.#options.clock.monotonic() + delayMs;
    if (state.queued || (state.timer !== undefined && state.timerAt <= at)) return;
    state.timer?.cancel();
    state.expiry?.cancel();
    state.timerAt = at;
    state.timer = this.#options.clock.after(delayMs, () => {
      state.timer = undefined;
      if (state.running) state.again = true;
      else this.#push(key, state);
    });
  }

  #push(key: string, state: KeyState): void {
    if (state.queued) return;
    state.queued = true;
    state.timer?.cancel();
    state.timer = undefined;
    state.expiry?.cancel();
    this.#ready.push(key);
    queueMicrotask(() => this.#pump());
  }

  #pump(): void {
    while (this.#running < (this.#options.concurrency ?? 1) && !this.#controller.signal.aborted) {
      const key = this.#ready.shift();
      if (key === undefined) return;
      void this.#run(key, this.#state(key));
    }
  }

  async #run(key: string, state: KeyState): Promise<void> {
    state.queued = false;
    state.running = true;
    this.#running += 1;
    let requeueAfterMs: number | undefined;
    try {
      const result = await this.#reconcile(key, this.#controller.signal);
      requeueAfterMs = result?.requeueAfterMs;
      state.backoff = undefined;
    } catch (error) {
      if (!this.#controller.signal.aborted) {
        state.backoff ??= new Backoff(this.#options.retry ?? DEFAULT_RETRY, this.#options.random);
        requeueAfterMs = state.backoff.nextMs();
        this.#options.logger.warn(
          {
            loop: this.#options.name,
            key,
            error: errorMessage(error),
            retryInMs: Math.round(requeueAfterMs),
          },
          'reconcile failed',
        );
      }
    }
    state.running = false;
    this.#running -= 1;
    this.#afterRun(key, state, requeueAfterMs);
  }

  #afterRun(key: string, state: KeyState, requeueAfterMs: number | undefined): void {
    if (this.#controller.signal.aborted) {
      if (this.#running === 0) this.#idle?.();
      return;
    }
    state.lastRunAt = this.#options.clock.monotonic();
    if (state.again) {
      state.again = false;
      this.enqueue(key);
    }
    if (requeueAfterMs !== undefined) this.#schedule(key, state, requeueAfterMs);
    if (!state.queued && state.timer === undefined) this.#forget(key, state);
    this.#pump();
  }

  /** A key nobody waits for is dropped once its debounce window can no longer matter. */
  #forget(key: string, state: KeyState): void {
    const debounceMs = this.#options.debounceMs ?? 0;
    if (debounceMs === 0) this.#states.delete(key);
    else {
      state.expiry = this.#options.clock.after(debounceMs, () => this.#states.delete(key), {
        unref: true,
      });
    }
  }
}
