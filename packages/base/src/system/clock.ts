/** The real clock: the only place that may touch Date and timers. */
import type { Clock } from '../ports.ts';

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after: (delayMs, fn, options) => {
    const timer = setTimeout(fn, Math.max(0, delayMs));
    if (options?.unref === true) timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
};
