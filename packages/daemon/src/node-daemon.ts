/**
 * What `swarmctl swarm init|join|leave` and a restart do to this machine. One such change at a time;
 * one that fails leaves the machine as it was.
 */
import { hostname } from 'node:os';
import { join } from 'node:path';

import type { LocalInfo } from '@swarmd/api';
import {
  Backoff,
  disposeOnFailure,
  errorMessage,
  Scope,
  sleep,
  SwarmError,
  type Clock,
  type Ids,
  type Logger,
  type Random,
} from '@swarmd/base';
import type { NetworkFinding } from '@swarmd/model';
import { hostNetworks } from '@swarmd/network';

import type { Settings } from './config/settings.ts';
import type { Identity, IdentityStore } from './identity/identity.ts';
import { RESUME_FIRST_MS, RESUME_MAX_MS } from './limits.ts';
import type { ManagerProcess, ManagerProcessDeps } from './manager/manager-process.ts';
import { ManagerStarter } from './manager/manager-starter.ts';
import type { Machine } from './machine.ts';
import { Member } from './member.ts';
import { OneChange } from './one-change.ts';
import { hasServed, RoleKeeper } from './role-keeper.ts';
import { removeClusterState, removeManagerState } from './state-folders.ts';
import {
  chooseAddresses,
  followAdvertise,
  hasMoved,
  type AddressRequest,
} from './swarm/addresses.ts';
import { clearMachine } from './swarm/clear-machine.ts';
import { goOnAlone, noManagerState } from './swarm/force-new-cluster.ts';
import { newCluster } from './swarm/init.ts';
import { joinCluster, leaveManagers } from './swarm/join.ts';
import { checkPools } from './swarm/pools.ts';
import { VERSION } from './version.ts';

export interface NodeDaemonDeps {
  readonly settings: Settings;
  readonly identities: IdentityStore;
  readonly openMachine: () => Promise<Machine>;
  readonly forkManager: ManagerProcessDeps['fork'];
  /** Asked when this daemon stops. */
  readonly machineStops: () => Promise<boolean>;
  readonly clock: Clock;
  readonly random: Random;
  readonly ids: Ids;
  readonly logger: Logger;
}

export interface InitRequest extends AddressRequest {
  readonly spec: object;
  readonly forceNewCluster: boolean;
  /** With `forceNewCluster`: although a quorum answers. */
  readonly evenWithQuorum: boolean;
}

export interface JoinRequest extends AddressRequest {
  readonly token: string;
  readonly remotes: readonly string[];
}

/** Changes after which this machine is in a cluster. */
const BEGINNINGS: readonly string[] = ['initializing', 'joining', 'starting'];

interface Active {
  readonly member: Member;
  readonly machine: Machine;
}

export class NodeDaemon implements AsyncDisposable {
  readonly #deps: NodeDaemonDeps;
  readonly #scope: Scope;
  #active: Active | undefined;
  readonly #changes = new OneChange();
  #error = '';
  #stored: Identity | undefined;
  /** Aborted when there is nothing to continue any more. */
  #resuming: AbortController | undefined;
  readonly #role: RoleKeeper;
  readonly #managers: ManagerStarter;

  constructor(deps: NodeDaemonDeps) {
    this.#deps = deps;
    this.#scope = new Scope((name, error) =>
      deps.logger.error({ name, error: errorMessage(error) }, 'work of the daemon failed'),
    );
    this.#managers = new ManagerStarter(deps.settings, { ...deps, fork: deps.forkManager });
    this.#role = new RoleKeeper({
      ...deps,
      change: (name, fn) => this.#changes.run(name, fn),
      member: () => this.#active?.member,
      startManager: (identity, signal) =>
        this.#managers.start(identity, { raftStart: 'join' }, signal),
      removeManagerState: () => removeManagerState(deps.settings),
    });
    this.#scope.spawn('role', (signal) => this.#role.run(signal));
  }

  /** As it is now; its credentials and its role change while it is in the cluster. */
  get #identity(): Identity | undefined {
    return this.#active?.member.identity ?? this.#stored;
  }

  /** @throws SwarmError `failed-precondition` in no cluster. */
  async checkNetwork(options: { repair: boolean; signal: AbortSignal }): Promise<NetworkFinding[]> {
    const active = this.#active;
    if (active === undefined) {
      throw new SwarmError(
        'failed-precondition',
        'this machine is in no cluster: it has no network to look at',
      );
    }
    return [...(await active.machine.plane.check(options))];
  }

  info(): LocalInfo {
    const membership = this.#identity?.membership;
    const error = this.#error || this.#role.error || (this.#active?.member.error ?? '');
    const { settings } = this.#deps;
    return {
      state: this.#state(),
      error,
      nodeId: membership?.nodeId ?? '',
      clusterId: membership?.clusterId ?? '',
      role: membership?.role ?? '',
      hostname: hostname(),
      version: VERSION,
      address: membership?.advertise.split(':')[0] ?? settings.advertiseAddr ?? '',
      managers: this.#active?.member.managers ?? membership?.managers ?? [],
      controlSocket: membership?.role === 'manager' ? join(settings.runDir, 'control.sock') : '',
    };
  }

  /**
   * Continues in the cluster this machine is in, if it is in one. What stands in the way may pass (an
   * address that is still taken): it is tried again, and `info` tells why, until it works.
   */
  resume(): void {
    const { clock, random, logger } = this.#deps;
    const backoff = new Backoff({ firstMs: RESUME_FIRST_MS, maxMs: RESUME_MAX_MS }, random);
    const resuming = new AbortController();
    this.#resuming = resuming;
    this.#scope.spawn('resume', async (signal) => {
      while (!resuming.signal.aborted) {
        try {
          await this.#changes.run('starting', () => this.#resumeOnce());
          return;
        } catch (error) {
          this.#error = errorMessage(error);
          logger.error({ error: this.#error }, 'cannot continue in the cluster');
        }
        await sleep(clock, backoff.nextMs(), signal);
      }
    });
  }

  /** Makes a new cluster with this machine as its first manager. */
  async init(request: InitRequest, signal: AbortSignal): Promise<LocalInfo> {
    if (request.forceNewCluster) return this.#forceNewCluster(request, signal);
    const { settings, identities } = this.#deps;
    return this.#enter('initializing', async () => {
      checkPools(request.spec, hostNetworks());
      const { identity, rootCa } = newCluster(chooseAddresses(request, settings), this.#deps);
      const bootstrap = { clusterSpec: request.spec, rootCa };
      const beginning = { raftStart: 'bootstrap', bootstrap } as const;
      const manager = await this.#managers.start(identity, beginning, signal);
      await disposeOnFailure(manager, () => identities.save(identity));
      await this.#activate(identity, manager);
    });
  }

  /** Makes this machine part of an existing cluster. */
  async join(request: JoinRequest, signal: AbortSignal): Promise<LocalInfo> {
    const { settings, identities } = this.#deps;
    return this.#enter('joining', async () => {
      const entered = await joinCluster(request, chooseAddresses(request, settings), signal);
      const manager =
        entered.membership.role === 'manager'
          ? await this.#joinAsManager(entered, signal)
          : undefined;
      const identity = hasServed(entered);
      await disposeOnFailure(manager, () => identities.save(identity));
      await this.#activate(identity, manager);
    });
  }

  /** Ends this machine's containers and forgets the cluster. `force`: also when the others cannot be told. */
  async leave({ force }: { force: boolean }, signal: AbortSignal): Promise<void> {
    try {
      await this.#changes.run('leaving', () => this.#leave(force, signal));
    } catch (error) {
      const isStopped = this.#active === undefined && this.#resuming?.signal.aborted === true;
      if (isStopped) this.resume();
      throw error;
    }
  }

  /** Containers survive, and the managers know that it will be back, unless the machine goes down. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#scope[Symbol.asyncDispose]();
    await this.#changes.settled();
    if (await this.#deps.machineStops()) {
      this.#deps.logger.info({}, 'the machine goes down: its tasks are to be replaced');
    } else {
      await this.#active?.member.goodbye();
    }
    await this.#deactivate();
  }

  async #resumeOnce(): Promise<void> {
    const identity = await this.#load();
    this.#stored = identity;
    if (identity === undefined) {
      await removeClusterState(this.#deps.settings); // What an interrupted init or join may have left.
    } else {
      const { nodeId, role, joining } = identity.membership;
      this.#deps.logger.info({ node: nodeId, role }, 'resuming');
      if (role === 'worker') await removeManagerState(this.#deps.settings);
      const raftStart = joining === true ? 'join' : 'restart';
      const manager =
        role === 'manager' ? this.#managers.resume(identity, { raftStart }) : undefined;
      await this.#activate(identity, manager);
      if (manager !== undefined && joining === true) {
        this.#scope.spawn('joined', () => manager.served.then(() => this.#role.joined()));
      }
    }
    this.#error = '';
  }

  /** As it was saved, at the address that swarmd is told now. */
  async #load(): Promise<Identity | undefined> {
    const { identities, settings, logger } = this.#deps;
    const saved = await identities.load();
    if (saved === undefined) return undefined;
    const membership = followAdvertise(saved.membership, settings);
    if (membership === saved.membership) return saved;
    logger.info({ from: saved.membership.advertise, to: membership.advertise }, 'address changed');
    await identities.saveMembership(membership);
    return { ...saved, membership };
  }

  #state(): LocalInfo['state'] {
    if (BEGINNINGS.includes(this.#changes.name)) return 'pending';
    if (this.#error !== '') return 'error';
    return this.#identity === undefined ? 'inactive' : 'active';
  }

  /** A change from being in no cluster to being in one. */
  async #enter(name: string, fn: () => Promise<void>): Promise<LocalInfo> {
    await this.#changes.run(name, async () => {
      const { clusterId } = this.#identity?.membership ?? {};
      if (clusterId !== undefined) {
        throw new SwarmError(
          'failed-precondition',
          `this machine is in cluster ${clusterId} already; leave it first with: swarmctl swarm leave`,
        );
      }
      if (this.#error !== '') throw this.#unknownCluster();
      try {
        await fn();
      } catch (error) {
        await this.#deactivate();
        await this.#deps.identities.remove();
        await removeClusterState(this.#deps.settings);
        throw error;
      }
    });
    return this.info();
  }

  /** Takes over `manager`. */
  async #activate(identity: Identity, manager: ManagerProcess | undefined): Promise<void> {
    const machine = await disposeOnFailure(manager, () => this.#deps.openMachine());
    const { executor, plane } = machine;
    const member = await disposeOnFailure(machine, () =>
      Member.start(identity, manager, {
        ...this.#deps,
        executor,
        plane,
        onRole: (role) => this.#role.want(role),
      }),
    );
    this.#active = { member, machine };
    this.#stored = identity;
    this.#role.look();
  }

  async #deactivate(): Promise<void> {
    const active = this.#active;
    this.#active = undefined;
    await active?.member[Symbol.asyncDispose]();
    await active?.machine[Symbol.asyncDispose]();
  }

  async #joinAsManager(identity: Identity, signal: AbortSignal): Promise<ManagerProcess> {
    try {
      return await this.#managers.start(identity, { raftStart: 'join' }, signal);
    } catch (error) {
      // The others have added this machine already: without this they wait for it for ever.
      await leaveManagers(identity, identity.membership.managers, signal).catch((cause: unknown) =>
        this.#deps.logger.error({ error: errorMessage(cause) }, 'cannot take the join back'),
      );
      throw error;
    }
  }

  async #leaveManagers(identity: Identity, force: boolean, signal: AbortSignal): Promise<void> {
    const managers = this.#active?.member.managers ?? identity.membership.managers;
    try {
      await leaveManagers(identity, managers, signal);
    } catch (error) {
      if (!force) {
        const why = `${errorMessage(error)}. To leave all the same: swarmctl swarm leave --force`;
        throw new SwarmError('failed-precondition', why, { cause: error });
      }
      this.#deps.logger.warn(
        { error: errorMessage(error) },
        'leaving without telling the managers',
      );
    }
  }

  async #leave(force: boolean, signal: AbortSignal): Promise<void> {
    const identity = this.#identity;
    if (identity === undefined) this.#refuseWithoutIdentity(force);
    else if (identity.membership.role === 'manager') {
      await this.#leaveManagers(identity, force, signal);
    }
    this.#resuming?.abort();
    const active = this.#active;
    this.#active = undefined;
    await clearMachine(active, { ...this.#deps, force, signal });
    await this.#deps.identities.remove();
    await removeClusterState(this.#deps.settings);
    this.#stored = undefined;
    this.#role.want(undefined);
    this.#error = '';
    this.#resuming = undefined;
    this.#deps.logger.info({}, 'left the cluster');
  }

  #refuseWithoutIdentity(force: boolean): void {
    if (this.#error === '') {
      throw new SwarmError('failed-precondition', 'this machine is in no cluster');
    }
    if (!force) throw this.#unknownCluster();
  }

  #unknownCluster(): SwarmError {
    return new SwarmError(
      'failed-precondition',
      `this machine cannot tell which cluster it is in: ${this.#error}. ` +
        'To end what it runs and to forget that cluster: swarmctl swarm leave --force',
    );
  }

  async #forceNewCluster(request: InitRequest, signal: AbortSignal): Promise<LocalInfo> {
    const { settings, identities, logger } = this.#deps;
    await this.#changes.run('going on without the other managers', async () => {
      const member = this.#active?.member;
      if (member?.identity.membership.role !== 'manager') throw noManagerState();
      const { membership } = member.identity;
      await goOnAlone(member, request, {
        identities,
        controlSocket: join(settings.runDir, 'control.sock'),
        startAlone: (identity) => {
          const alone = { raftStart: 'restart', forceNewCluster: true } as const;
          return this.#managers.start(identity, alone, signal);
        },
        startAgain: (identity) => this.#managers.resume(identity, { raftStart: 'restart' }),
        signal,
      });
      logger.warn({}, 'this machine goes on as the only manager');
      if (hasMoved(membership, member.identity.membership)) await this.#startAnew();
    });
    return this.info();
  }

  /** With what was saved, as after a restart of the daemon: containers go on. */
  async #startAnew(): Promise<void> {
    await this.#deactivate();
    try {
      await this.#resumeOnce();
    } catch (error) {
      this.resume();
      throw error;
    }
  }
}
