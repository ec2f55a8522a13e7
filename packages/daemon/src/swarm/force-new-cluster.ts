/** One manager goes on without the others, and what is asked before. */
import { connect, createControlClient } from '@swarmd/api';
import { errorCode, SwarmError, type ErrorCode } from '@swarmd/base';

import type { Identity, IdentityStore } from '../identity/identity.ts';
import { QUORUM_CALL_MAX_MS } from '../limits.ts';
import type { ManagerProcess } from '../manager/manager-process.ts';
import type { Member } from '../member.ts';
import { withAddresses, type AddressRequest } from './addresses.ts';

export function noManagerState(): SwarmError {
  return new SwarmError(
    'failed-precondition',
    'this machine is no manager and holds no state of a cluster: run this on one that was a manager, ' +
      'or make a cluster without --force-new-cluster',
  );
}

interface AloneOptions {
  readonly identities: IdentityStore;
  /** Where this machine's manager is asked whether a quorum answers. */
  readonly controlSocket: string;
  readonly startAlone: (identity: Identity) => Promise<ManagerProcess>;
  readonly startAgain: (identity: Identity) => ManagerProcess;
  readonly signal: AbortSignal;
}

/**
 * Keeps this manager's state, as the only manager, and saves the addresses that were asked for, which the
 * agent has after its next start. When that fails the manager goes on as it was.
 * @throws SwarmError `failed-precondition` when a quorum answers and that was not accepted.
 */
export async function goOnAlone(
  member: Member,
  request: AddressRequest & { readonly evenWithQuorum: boolean },
  options: AloneOptions,
): Promise<void> {
  const { identities, controlSocket, startAlone, startAgain, signal } = options;
  if (!request.evenWithQuorum) await refuseQuorum(controlSocket, signal);
  const before = member.identity;
  const { credentials, membership } = before;
  const identity = { credentials, membership: withAddresses(membership, request) };
  await member.become(before, undefined);
  try {
    await member.become(identity, await startAlone(identity));
    await identities.saveMembership(identity.membership);
  } catch (error) {
    await member.become(before, startAgain(before));
    throw error;
  }
}

/** What the manager says when there is no quorum, or when it does not run. */
const NO_ANSWER: readonly ErrorCode[] = ['unavailable', 'deadline-exceeded', 'unknown-outcome'];

/**
 * A read that needs a quorum must fail.
 * @throws SwarmError `failed-precondition` when it does not.
 */
async function refuseQuorum(controlSocket: string, signal: AbortSignal): Promise<void> {
  using channel = connect({ socketPath: controlSocket });
  try {
    await createControlClient(channel).getCluster({}, { signal, timeoutMs: QUORUM_CALL_MAX_MS });
  } catch (error) {
    if (!signal.aborted && NO_ANSWER.includes(errorCode(error))) return;
    throw error;
  }
  throw new SwarmError(
    'failed-precondition',
    'a quorum of the managers answers, so nothing is lost: managers that are gone can be removed with ' +
      '"swarmctl node rm --force NODE". To go on alone all the same, and throw out the others: ' +
      'swarmctl swarm init --force-new-cluster --even-with-quorum',
  );
}
