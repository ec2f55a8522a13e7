/** Waiting in tests: for a condition, with a deadline, instead of a sleep. */
import { systemClock } from './system/clock.ts';

const LOOK_EVERY_MS = 5;
/** Far above what is usual: machines that run tests are busy. */
const DEADLINE_MS = 45_000;

/**
 * @returns the first value that is not undefined or false.
 * @throws Error that names `what` when none comes in time.
 */
export async function until<T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
  timeoutMs = DEADLINE_MS,
): Promise<T> {
  const end = systemClock.monotonic() + timeoutMs;
  for (;;) {
    const value = await look();
    if (value !== undefined && value !== false) return value;
    if (systemClock.monotonic() > end) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise<void>((resolve) => void systemClock.after(LOOK_EVERY_MS, resolve));
  }
}
