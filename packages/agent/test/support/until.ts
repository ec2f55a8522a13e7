/** Waiting for a condition, with a deadline instead of a sleep. */
import { setImmediate } from 'node:timers/promises';

import type { ManualClock } from '@swarmd/base/testing';

const DEADLINE_MS = 30_000;
/** Work that a step of the manual clock started gets so many turns of the event loop. */
const TURNS = 10;

/** Resolves when `condition` is true; `clock` is advanced meanwhile, if there is one. */
export async function until(
  what: string,
  condition: () => boolean,
  clock?: { manual: ManualClock; stepMs: number },
): Promise<void> {
  const end = performance.now() + DEADLINE_MS;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`waited in vain until ${what}`);
    for (let turn = 0; turn < TURNS && !condition(); turn += 1) await setImmediate();
    if (!condition()) clock?.manual.advance(clock.stepMs);
  }
}
