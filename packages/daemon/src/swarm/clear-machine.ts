/** What leaving a cluster does to a machine: nothing that ran for it is left. */
import { errorMessage, withDeadline, type Clock, type Logger } from '@swarmd/base';

import { DRAIN_MAX_MS } from '../limits.ts';
import type { Machine } from '../machine.ts';
import type { Member } from '../member.ts';

export interface ClearOptions {
  readonly openMachine: () => Promise<Machine>;
  /** Go on although something could not be removed. */
  readonly force: boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/**
 * Ends the containers, or removes those that an earlier life left and nobody could take up, then
 * everything else of the cluster in the kernel.
 * @param active what runs here; undefined when nothing could be started.
 * @throws what stands in the way, unless `force`.
 */
export async function clearMachine(
  active: { readonly member: Member; readonly machine: Machine } | undefined,
  options: ClearOptions,
): Promise<void> {
  const { openMachine, force, clock, logger, signal } = options;
  const limit = { clock, timeoutMs: DRAIN_MAX_MS, what: 'ending the containers', signal };
  try {
    await using machine = active?.machine ?? (await openMachine());
    await withDeadline(limit, (signal) =>
      active === undefined ? removeLeft(machine, signal) : active.member.drain(signal),
    ).catch((error: unknown) =>
      logger.warn({ error: errorMessage(error) }, 'leaving without waiting'),
    );
    await active?.member[Symbol.asyncDispose]();
    await machine.destroy();
  } catch (error) {
    if (!force) throw error;
    logger.error({ error: errorMessage(error) }, 'leaving, though not all of it could be removed');
  }
}

async function removeLeft({ executor }: Machine, signal: AbortSignal): Promise<void> {
  for (const id of (await executor.restore(signal)).keys()) await executor.remove(id, signal);
}
