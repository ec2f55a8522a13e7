/** Repeating what failed for a reason that may pass. */
import {
  Backoff,
  errorCode,
  errorMessage,
  sleep,
  type Clock,
  type Logger,
  type Random,
} from '@swarmd/base';

import { PULL_ATTEMPTS, PULL_BACKOFF } from '../limits.ts';

export interface RetryOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

export async function retry<T>(
  { clock, random, logger }: RetryOptions,
  signal: AbortSignal,
  fn: () => Promise<T>,
): Promise<T> {
  const backoff = new Backoff(PULL_BACKOFF, random);
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await fn();
    } catch (error) {
      const code = errorCode(error);
      const mayPass = code === 'unavailable' || code === 'unauthenticated';
      if (!mayPass || attempt >= PULL_ATTEMPTS || signal.aborted) throw error;
      logger.debug({ attempt, error: errorMessage(error) }, 'a pull is tried again');
      await sleep(clock, backoff.nextMs(), signal);
    }
  }
}
