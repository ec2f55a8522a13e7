/** Which images a node removes by itself. */
import { SwarmError } from '@swarmd/base';
import type { CleanUpPolicy } from '@swarmd/executor';

const DAY_MS = 24 * 3_600_000;
/** A month is longer than what people roll back over; the disk's marks are the kubelet's. */
const DEFAULTS = { unusedForDays: 30, highPercent: 85, lowPercent: 80 };

export type GivenCleanUp = { readonly [K in keyof typeof DEFAULTS]?: number | undefined };

/** @throws SwarmError `invalid-argument` when the marks contradict each other. */
export function cleanUpOf(given: GivenCleanUp = {}): CleanUpPolicy {
  const unusedForDays = given.unusedForDays ?? DEFAULTS.unusedForDays;
  const highPercent = given.highPercent ?? DEFAULTS.highPercent;
  const lowPercent = given.lowPercent ?? Math.min(DEFAULTS.lowPercent, highPercent);
  if (lowPercent > highPercent) {
    throw new SwarmError(
      'invalid-argument',
      `imageCleanUp: lowPercent (${lowPercent}) must not be above highPercent (${highPercent})`,
    );
  }
  return { unusedForMs: unusedForDays * DAY_MS, highPercent, lowPercent };
}
