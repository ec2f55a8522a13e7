/** Waiting for something outside this process to become true, without guessing how long it takes. */
import { SwarmError } from '@swarmd/base';
import { systemClock } from '@swarmd/base/system';

const POLL_MS = 20;
/** How many times longer everything may take: labs can run on emulated machines, too. */
const PATIENCE = Number(process.env['SWARMD_LAB_PATIENCE'] ?? '1');

/**
 * Asks `probe` until it answers something, at most `timeoutMs` long.
 * @throws SwarmError `deadline-exceeded` that names `what` (and the probe's last error, if any).
 */
export async function waitUntil<T>(
  options: { what: string; timeoutMs: number },
  probe: () => T | undefined | Promise<T | undefined>,
): Promise<T> {
  const timeoutMs = options.timeoutMs * PATIENCE;
  const end = systemClock.monotonic() + timeoutMs;
  for (;;) {
    const answer = await probe();
    if (answer !== undefined) return answer;
    if (systemClock.monotonic() > end) {
      throw new SwarmError('deadline-exceeded', `waited ${timeoutMs} ms for ${options.what}`);
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
