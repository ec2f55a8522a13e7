/** How long something took, lately and at worst: a window of samples and what they amount to. */
import type { DurationSummary } from './types.ts';

/** About a minute of ticks, or some seconds of busy writing. */
const WINDOW_SAMPLES = 1_024;

export class Durations {
  readonly #window = new Float64Array(WINDOW_SAMPLES);
  #count = 0;
  #totalMs = 0;
  #maxMs = 0;

  add(ms: number): void {
    this.#window[this.#count % WINDOW_SAMPLES] = ms;
    this.#count += 1;
    this.#totalMs += ms;
    this.#maxMs = Math.max(this.#maxMs, ms);
  }

  summary(): DurationSummary {
    const recent = this.#window.slice(0, Math.min(this.#count, WINDOW_SAMPLES)).sort();
    const at = (part: number): number => recent[Math.ceil(part * recent.length) - 1] ?? 0;
    return {
      count: this.#count,
      totalMs: this.#totalMs,
      p50Ms: at(0.5),
      p99Ms: at(0.99),
      recentMaxMs: at(1),
      maxMs: this.#maxMs,
    };
  }
}
