/**
 * Makes this machine what the managers want it to be: a worker becomes a manager (certificate, place
 * in Raft, manager process) or a manager a worker, while its containers go on. Each step is saved
 * before the next one relies on it, so that an interrupted change is finished after a restart.
 */
import {
  Backoff,
  errorMessage,
  sleep,
  SwarmError,
  type Clock,
  type Logger,
  type Random,
} from '@swarmd/base';
import type { NodeRole } from '@swarmd/model';
import { identityFromCertificate } from '@swarmd/pki';

import type { Credentials, Identity, IdentityStore } from './identity/identity.ts';
import { renew } from './identity/renewal.ts';
import { ROLE_RETRY_FIRST_MS, ROLE_RETRY_MAX_MS } from './limits.ts';
import type { ManagerProcess } from './manager/manager-process.ts';
import type { Member } from './member.ts';
import { enterManagers } from './swarm/join.ts';

export interface RoleKeeperDeps {
  readonly identities: IdentityStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Runs one change of this machine at a time; refuses when another one is under way. */
  readonly change: (name: string, fn: () => Promise<void>) => Promise<void>;
  /** Undefined while this machine is in no cluster. */
  readonly member: () => Member | undefined;
  readonly startManager: (identity: Identity, signal: AbortSignal) => Promise<ManagerProcess>;
  readonly removeManagerState: () => Promise<void>;
}

export class RoleKeeper {
  readonly #deps: RoleKeeperDeps;
  #wanted: NodeRole | undefined;
  #wake = Promise.withResolvers<void>();
  #error = '';

  constructor(deps: RoleKeeperDeps) {
    this.#deps = deps;
  }

  /** Why this machine is not yet what it shall be; empty when it is. */
  get error(): string {
    return this.#error;
  }

  /** Undefined: it has left its cluster. */
  want(role: NodeRole | undefined): void {
    this.#wanted = role;
    this.#error = '';
    this.look();
  }

  /** Something it waits for may be there now. */
  look(): void {
    this.#wake.resolve();
  }

  /** The manager has served: its log is on the disk from now on. */
  async joined(): Promise<void> {
    const member = this.#deps.member();
    if (member?.identity.membership.joining !== true) return;
    const identity = hasServed(member.identity);
    await this.#deps.identities.saveMembership(identity.membership);
    await member.become(identity, member.manager);
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, random, logger } = this.#deps;
    const backoff = new Backoff({ firstMs: ROLE_RETRY_FIRST_MS, maxMs: ROLE_RETRY_MAX_MS }, random);
    signal.addEventListener('abort', () => this.#wake.resolve(), { once: true });
    while (!signal.aborted) {
      await this.#wake.promise;
      if (signal.aborted) return;
      this.#wake = Promise.withResolvers();
      try {
        await this.#become(signal);
        this.#error = '';
        backoff.reset();
      } catch (error) {
        if (signal.aborted) return;
        this.#error = errorMessage(error);
        logger.warn({ error: this.#error }, 'this machine is not yet what the managers want');
        await sleep(clock, backoff.nextMs(), signal).catch(() => undefined); // The loop ends.
        this.#wake.resolve();
      }
    }
  }

  async #become(signal: AbortSignal): Promise<void> {
    const wanted = this.#wanted;
    const member = this.#deps.member();
    if (wanted === undefined || member === undefined) return;
    if (wanted === member.identity.membership.role) return;
    if (wanted === 'manager') {
      await this.#deps.change('becoming a manager', () => this.#promote(member, signal));
    } else {
      await this.#deps.change('becoming a worker', () => this.#demote(member, signal));
    }
  }

  async #promote(member: Member, signal: AbortSignal): Promise<void> {
    const { identities, startManager, removeManagerState, logger } = this.#deps;
    const { membership } = member.identity;
    const certified = {
      membership,
      credentials: await this.#certificate(member, 'manager', signal),
    };
    await identities.saveCredentials(certified.credentials);
    await member.become(certified, undefined);
    const identity = await enterManagers(certified, member.managers, signal);
    const { raftId } = identity.membership;
    // What an earlier attempt left belongs to a place that is gone.
    if (raftId !== membership.raftId) await removeManagerState();
    await identities.saveMembership(identity.membership);
    try {
      await member.become(identity, await startManager(identity, signal));
    } catch (error) {
      // Tried again from the certificate on; the log that it may have is good for this place only.
      const waiting = { ...membership, ...(raftId === undefined ? {} : { raftId }) };
      await identities.saveMembership(waiting);
      await member.become({ ...certified, membership: waiting }, undefined);
      throw error;
    }
    await this.joined();
    logger.info({}, 'this machine is a manager now');
  }

  async #demote(member: Member, signal: AbortSignal): Promise<void> {
    const { identities, removeManagerState, logger } = this.#deps;
    // The managers give it only once this one is out of Raft.
    const credentials = await this.#certificate(member, 'worker', signal);
    const { raftId: _left, joining: _, ...rest } = member.identity.membership;
    const managers = member.managers.filter((address) => address !== rest.advertise);
    const membership = { ...rest, role: 'worker', managers } as const;
    await identities.save({ credentials, membership });
    await member.become({ credentials, membership }, undefined);
    await removeManagerState();
    logger.info({}, 'this machine is a worker now');
  }

  async #certificate(member: Member, role: NodeRole, signal: AbortSignal): Promise<Credentials> {
    const { credentials } = member.identity;
    if (identityFromCertificate(credentials.certificatePem).role === role) return credentials;
    const renewed = await renew(
      { identity: () => member.identity, managers: () => member.managers },
      signal,
    );
    if (identityFromCertificate(renewed.certificatePem).role === role) return renewed;
    throw new SwarmError('unavailable', `the managers gave no certificate of a ${role}`);
  }
}

/** The identity of a manager whose log is on the disk. */
export function hasServed({ credentials, membership }: Identity): Identity {
  const { joining: _, ...rest } = membership;
  return { credentials, membership: rest };
}
