/** Renews the node's certificate between half and four fifths of its life, from any manager. */
import { connect, createCaClient } from '@swarmd/api';
import {
  Backoff,
  errorMessage,
  sleep,
  SwarmError,
  type Clock,
  type Logger,
  type Random,
} from '@swarmd/base';
import { createKeyAndCsr, renewalDelayMs } from '@swarmd/pki';

import {
  JOIN_CALL_MAX_MS,
  RENEW_LOOK_MAX_MS,
  RENEW_RETRY_FIRST_MS,
  RENEW_RETRY_MAX_MS,
} from '../limits.ts';
import type { Credentials, Identity } from './identity.ts';

export interface RenewalDeps {
  readonly identity: () => Identity;
  readonly managers: () => readonly string[];
  readonly onRenewed: (credentials: Credentials) => Promise<void>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Runs until `signal` aborts. */
export async function keepRenewing(deps: RenewalDeps, signal: AbortSignal): Promise<void> {
  const { clock, random, logger } = deps;
  const backoff = new Backoff({ firstMs: RENEW_RETRY_FIRST_MS, maxMs: RENEW_RETRY_MAX_MS }, random);
  for (;;) {
    await untilDue(deps, signal);
    try {
      await deps.onRenewed(await renew(deps, signal));
      backoff.reset();
      logger.info({}, 'certificate renewed');
    } catch (error) {
      if (signal.aborted) throw error;
      logger.warn({ error: errorMessage(error) }, 'cannot renew the certificate');
      await sleep(clock, backoff.nextMs(), signal);
    }
  }
}

/** Timers end at 24.8 days, certificates later; and clocks may be set. */
async function untilDue(
  { identity, clock, random }: RenewalDeps,
  signal: AbortSignal,
): Promise<void> {
  const { certificatePem } = identity().credentials;
  const chance = random.next();
  const fixed: Random = { next: () => chance };
  for (;;) {
    const waitMs = renewalDelayMs({ certificatePem, now: clock.now(), random: fixed });
    if (waitMs === 0) return;
    await sleep(clock, Math.min(waitMs, RENEW_LOOK_MAX_MS), signal);
  }
}

/**
 * A new key and certificate from any manager, in the role that the node shall have.
 * @throws SwarmError what the last manager said, when none gave one.
 */
export async function renew(
  deps: Pick<RenewalDeps, 'identity' | 'managers'>,
  signal: AbortSignal,
): Promise<Credentials> {
  const { credentials, membership } = deps.identity();
  const { keyPem, csrPem } = createKeyAndCsr();
  let failure: unknown;
  for (const address of deps.managers()) {
    using channel = connect({
      address,
      tls: () => credentials,
      serverRole: 'manager',
      clusterId: membership.clusterId,
    });
    try {
      const issued = await createCaClient(channel).issueCertificate(
        { csrPem },
        { signal, timeoutMs: JOIN_CALL_MAX_MS },
      );
      return { keyPem, certificatePem: issued.certificatePem, caPem: issued.caPem };
    } catch (error) {
      if (signal.aborted) throw error;
      failure = error;
    }
  }
  throw failure ?? new SwarmError('unavailable', 'no manager is known');
}
