/**
 * A manager that is reached at another address than the others know says so, through any of them: to
 * its own Raft nobody speaks until they know.
 */
import { Backoff, errorMessage, sleep } from '@swarmd/base';
import type { Call } from '@swarmd/api';

import type { Core, Outside } from '../core.ts';
import { FORWARDED_CALL_MS, MOVE_RETRY_FIRST_MS, MOVE_RETRY_MAX_MS } from '../limits.ts';
import { relocate } from './membership.ts';

/** Resolves once the others know; at once when they do already. */
export async function tellOwnAddress(
  core: Core,
  managerAt: Outside['managerAt'],
  signal: AbortSignal,
): Promise<void> {
  const { clock, random, logger, advertise } = core.options;
  const backoff = new Backoff({ firstMs: MOVE_RETRY_FIRST_MS, maxMs: MOVE_RETRY_MAX_MS }, random);
  const request = { apiAddress: advertise.api, raftAddress: advertise.raft };
  while (!isKnown(core)) {
    for (const tell of waysToTell(core, managerAt)) {
      try {
        await tell(request, { signal, timeoutMs: FORWARDED_CALL_MS });
        logger.info(request, 'the other managers know the new address of this one');
        return;
      } catch (error) {
        if (signal.aborted) return;
        logger.warn({ error: errorMessage(error) }, 'the new address could not be told');
      }
    }
    await sleep(clock, backoff.nextMs(), signal);
  }
}

/** Also true of a member that the log on this disk does not know yet: it has just joined. */
function isKnown({ raft, store, options }: Core): boolean {
  const self = raft.status().members.find((member) => member.raftId === options.raftId);
  const stored = store.view.get('node', options.nodeId)?.manager;
  if (self === undefined || stored === undefined) return true;
  return self.address === options.advertise.raft && stored.apiAddress === options.advertise.api;
}

type Tell = (request: { apiAddress: string; raftAddress: string }, call: Call) => Promise<void>;

/** The leader itself needs nobody; for others every other manager is as good. */
function waysToTell(core: Core, managerAt: Outside['managerAt']): Tell[] {
  const { store, raft, leadership, options } = core;
  const { nodeId } = options;
  if (leadership.reign !== undefined) {
    const { signal: reign } = leadership.reign;
    return [
      (request, { signal }) =>
        relocate({ store, raft }, { ...request, nodeId }, AbortSignal.any([signal, reign])),
    ];
  }
  return [...store.view.list('node')]
    .filter((node) => node.id !== nodeId)
    .flatMap(({ manager }) => (manager === undefined ? [] : [manager.apiAddress]))
    .map((address) => (request, call) => managerAt(address).membership.move(request, call));
}
