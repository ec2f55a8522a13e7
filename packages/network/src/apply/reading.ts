/**
 * Looking at the kernel by programs, which shells start: from the daemon itself each would cost its only
 * thread 3 ms, and the doctor looks at every container by two.
 */
import { orAborted } from '@swarmd/base';

import { openReader, openShell } from './shell.ts';

const reader = openReader();
/** Of their own: what waits for an answer from elsewhere keeps nobody from programming. */
const askers = openShell();

/**
 * What a script prints, errors included where it goes on after them.
 * @throws SwarmError `internal` with "exit code N: what it said".
 */
export function outputOf(script: string, signal: AbortSignal): Promise<string> {
  return orAborted(reader.run(script), signal);
}

/** Runs a script that waits for others. @throws as `outputOf` does. */
export async function asks(script: string, signal: AbortSignal): Promise<void> {
  await orAborted(askers.run(script), signal);
}
