/**
 * Tells that a start gets on: reading a large state takes minutes on a slow or busy machine, and whoever
 * gave up on it would make it begin anew, for ever.
 */
import { every, type Clock } from '@swarmd/base';

import { WORK_LEAST_US, WORK_LOOK_MS } from '../limits.ts';

/** What a process has used so far, as `process.resourceUsage()` has it. */
export type Usage = Pick<NodeJS.ResourceUsage, 'userCPUTime' | 'systemCPUTime' | 'fsRead'>;

/** Calls `tell` from time to time for as long as the process computes or reads, until it is disposed. */
export function reportWork(clock: Clock, usage: () => Usage, tell: () => void): Disposable {
  let before = usage();
  return every(clock, WORK_LOOK_MS, () => {
    const now = usage();
    const computedUs =
      now.userCPUTime + now.systemCPUTime - before.userCPUTime - before.systemCPUTime;
    if (computedUs >= WORK_LEAST_US || now.fsRead > before.fsRead) tell();
    before = now;
  });
}
