/** Waiting for something outside this process to become true, without guessing how long it takes. */
import { errorCode, errorMessage, SwarmError } from '@swarmd/base';
import { systemClock } from '@swarmd/base/system';

const POLL_MS = 20;
/** How many times longer everything may take: labs can run on emulated machines, too. */
const PATIENCE = Number(process.env['SWARMD_LAB_PATIENCE'] ?? '1');

/**
 * Asks `probe` until it answers something, at most `timeoutMs` long. One that throws `unavailable` has not
 * answered yet: nobody leads for a moment, or a daemon is on its way.
 * @throws SwarmError `deadline-exceeded` that names `what`, and why the last answer was none, if that is known;
 * whatever else the probe throws.
 */
export async function waitUntil<T>(
  options: { what: string; timeoutMs: number },
  probe: () => T | undefined | Promise<T | undefined>,
): Promise<T> {
  const timeoutMs = options.timeoutMs * PATIENCE;
  const end = systemClock.monotonic() + timeoutMs;
  for (;;) {
    let cause: unknown;
    try {
      const answer = await probe();
      if (answer !== undefined) return answer;
    } catch (error) {
      if (errorCode(error) !== 'unavailable') throw error;
      cause = error;
    }
    if (systemClock.monotonic() > end) {
      const why = cause === undefined ? '' : `: ${errorMessage(cause)}`;
      const message = `waited ${timeoutMs} ms for ${options.what}${why}`;
      throw new SwarmError('deadline-exceeded', message, { cause });
    }
    await new Promise<void>((resolve) => systemClock.after(POLL_MS, resolve));
  }
}

/** Like Promise.all, but lets all of them end before it reports the first failure. */
export async function allEnded<T>(work: readonly Promise<T>[]): Promise<T[]> {
  const results = await Promise.allSettled(work);
  return results.map((result) => {
    if (result.status === 'rejected') throw result.reason;
    return result.value;
  });
}
