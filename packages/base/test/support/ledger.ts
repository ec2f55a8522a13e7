/** What a control loop owes its callers, and where it breaks that. */
import { LoopUnderTest, settled } from './loop-under-test.ts';

export type Step =
  | { readonly kind: 'ask'; readonly key: string }
  | { readonly kind: 'ask-later'; readonly key: string; readonly ms: number }
  | { readonly kind: 'advance'; readonly ms: number }
  | { readonly kind: 'end'; readonly nth: number; readonly outcome: number | 'well' | 'failed' };

/** What the loop owes its callers, kept without any of its cleverness. */
export class Ledger {
  readonly test: LoopUnderTest;
  readonly #options: { readonly concurrency: number; readonly debounceMs: number };
  readonly #asked = new Set<string>();
  readonly #dueAt = new Map<string, number>();
  readonly #endedAt = new Map<string, number>();
  /** What a run saw that must not be; thrown there, it would only count as a failed run. */
  readonly broken: string[] = [];

  constructor(options: { concurrency: number; debounceMs: number }) {
    this.#options = options;
    const retry = { firstMs: 10, maxMs: 100 };
    this.test = new LoopUnderTest({ ...options, retry }, (key) => this.#onStart(key));
  }

  /** Every start has a cause, and settles everything that was asked of the key before. */
  #onStart(key: string): void {
    const { running, clock } = this.test;
    if (running.includes(key)) this.broken.push(`two runs of ${key}`);
    if (running.length >= this.#options.concurrency) this.broken.push('too many runs');
    const isDue = (this.#dueAt.get(key) ?? Number.POSITIVE_INFINITY) <= clock.monotonic();
    if (!this.#asked.has(key) && !isDue) this.broken.push(`${key} runs though nobody asked`);
    this.#asked.delete(key);
    this.#dueAt.delete(key);
  }

  async take(step: Step): Promise<void> {
    const { test } = this;
    switch (step.kind) {
      case 'ask':
        this.#asked.add(step.key);
        test.loop.enqueue(step.key);
        break;
      case 'ask-later':
        this.#askLater(step.key, step.ms);
        test.loop.enqueueAfter(step.key, step.ms);
        break;
      case 'advance':
        test.clock.advance(step.ms);
        break;
      case 'end': {
        const { running } = test;
        const key = running[step.nth % Math.max(1, running.length)];
        if (key !== undefined) await this.#end(key, step.outcome);
      }
    }
    await settled();
    this.#checkNobodyWaitsInVain();
  }

  async #end(key: string, outcome: number | 'well' | 'failed'): Promise<void> {
    this.#endedAt.set(key, this.test.clock.monotonic());
    if (outcome === 'well') return this.test.finish(key);
    // A failed run is owed another one within the first steps of its backoff, a wish at its time.
    this.#askLater(key, outcome === 'failed' ? 0 : outcome);
    return this.test.finish(
      key,
      outcome === 'failed' ? new Error('failed') : { requeueAfterMs: outcome },
    );
  }

  #askLater(key: string, ms: number): void {
    const at = this.test.clock.monotonic() + ms;
    this.#dueAt.set(key, Math.min(at, this.#dueAt.get(key) ?? Number.POSITIVE_INFINITY));
  }

  /** With a place free, a key that was asked for runs, or has run within the debounce. */
  #checkNobodyWaitsInVain(): void {
    const { running, clock } = this.test;
    if (running.length >= this.#options.concurrency) return;
    for (const key of this.#asked) {
      const since = clock.monotonic() - (this.#endedAt.get(key) ?? Number.NEGATIVE_INFINITY);
      const fine = running.includes(key) || since < this.#options.debounceMs;
      if (!fine) this.broken.push(`${key} waits for nothing`);
    }
  }

  /** Lets everything end well: nothing may be owed, and the loop knows no key any more. */
  async finishAll(): Promise<void> {
    for (let round = 0; round < 50 && this.test.loop.size > 0; round += 1) {
      for (const key of this.test.running) await this.#end(key, 'well');
      await this.test.advance(100);
    }
    const owed = [...this.#asked, ...this.#dueAt.keys()];
    if (owed.length > 0) this.broken.push(`still owed at the end: ${owed.join(' ')}`);
    if (this.test.loop.size > 0) this.broken.push('the loop still knows a key');
    if (this.test.clock.nextTimerInMs() !== undefined) this.broken.push('a timer was left');
  }
}
