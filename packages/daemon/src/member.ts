/**
 * A machine that is in a cluster: its agent, its agent's listener, on managers the manager process,
 * and the renewal of its certificate. Disposing it leaves the containers running.
 */
import {
  connect,
  createClusterServer,
  createDispatcherClient,
  serveAgent,
  serveEngine,
  type ClusterServer,
} from '@swarmd/api';
import {
  reaches,
  startAgent,
  type Agent,
  type Executor,
  type ManagerConnection,
  type NetworkPlane,
} from '@swarmd/agent';
import {
  disposeOnFailure,
  errorMessage,
  Scope,
  type Clock,
  type Logger,
  type Random,
} from '@swarmd/base';
import type { NodeRole } from '@swarmd/model';

import type { Settings } from './config/settings.ts';
import type { Identity, IdentityStore } from './identity/identity.ts';
import { keepRenewing } from './identity/renewal.ts';
import { AGENT_PORT_OFFSET } from './limits.ts';
import type { ManagerProcess } from './manager/manager-process.ts';
import { parseAddress } from './swarm/addresses.ts';
import { VERSION } from './version.ts';

export interface MemberDeps {
  readonly settings: Settings;
  readonly identities: IdentityStore;
  readonly executor: Executor;
  readonly plane: NetworkPlane;
  /** Told what the managers want this machine to be. */
  readonly onRole: (role: NodeRole) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

export class Member implements AsyncDisposable {
  readonly #scope: Scope;
  #manager: ManagerProcess | undefined;
  #identity: Identity;
  #agent: Agent | undefined;
  #server: ClusterServer | undefined;

  private constructor(identity: Identity, manager: ManagerProcess | undefined, logger: Logger) {
    this.#identity = identity;
    this.#manager = manager;
    this.#scope = new Scope((name, error) =>
      logger.error({ name, error: errorMessage(error) }, 'work of the daemon failed'),
    );
  }

  /** Takes over `manager`: it is disposed with the member, also when starting fails. */
  static async start(
    identity: Identity,
    manager: ManagerProcess | undefined,
    deps: MemberDeps,
  ): Promise<Member> {
    const member = new Member(identity, manager, deps.logger);
    await disposeOnFailure(member, () => member.#start(deps));
    return member;
  }

  get identity(): Identity {
    return this.#identity;
  }

  get manager(): ManagerProcess | undefined {
    return this.#manager;
  }

  /** What does not work at the moment; empty when all is well. */
  get error(): string {
    return this.#manager?.error ?? '';
  }

  /** Managers it knows, host:port. */
  get managers(): readonly string[] {
    return this.#agent?.managers() ?? this.#identity.membership.managers;
  }

  /** Tells the managers that this machine's daemon restarts on purpose. */
  async goodbye(): Promise<void> {
    await this.#agent?.goodbye();
  }

  /** Ends this machine's containers. */
  async drain(signal: AbortSignal): Promise<void> {
    await this.#agent?.drain(signal);
  }

  /** Takes over `manager`, and stops the one it had. Containers and sessions go on. */
  async become(identity: Identity, manager: ManagerProcess | undefined): Promise<void> {
    const before = this.#manager;
    this.#identity = identity;
    this.#manager = manager;
    this.#server?.refreshTls();
    if (before !== manager) await before?.[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#scope[Symbol.asyncDispose]();
    await this.#manager?.[Symbol.asyncDispose]();
  }

  async #start(deps: MemberDeps): Promise<void> {
    const { settings, executor, plane, clock, random, logger } = deps;
    const { membership } = this.#identity;
    const address = parseAddress(membership.advertise);
    const listen = parseAddress(membership.listen);
    const agentPort = listen.port + AGENT_PORT_OFFSET;
    const agent = await startAgent({
      nodeId: membership.nodeId,
      stateDir: settings.stateDir,
      runDir: settings.runDir,
      executor,
      plane,
      address: address.host,
      ...(membership.dataPath === undefined ? {} : { dataPathAddress: membership.dataPath }),
      agentAddress: `${address.host}:${agentPort}`,
      engineVersion: VERSION,
      labels: settings.nodeLabels,
      genericResources: settings.genericResources,
      managers: membership.managers,
      connect: (manager) => this.#dispatcherAt(manager, clock),
      onRole: deps.onRole,
      clock,
      random,
      logger,
    });
    this.#agent = this.#scope.own(agent);
    const server = this.#scope.own(
      await createClusterServer({
        host: listen.host,
        port: agentPort,
        tls: () => ({ ...this.#identity.credentials, clusterId: membership.clusterId }),
        logger,
      }),
    );
    this.#server = server;
    serveAgent(server, agent.service);
    serveEngine(server, agent.engine);
    this.#scope.spawn('renewal', (signal) =>
      keepRenewing(
        {
          identity: () => this.#identity,
          managers: () => this.managers,
          onRenewed: async (credentials) => {
            await deps.identities.saveCredentials(credentials);
            this.#identity = { ...this.#identity, credentials };
            this.#manager?.setCredentials(credentials);
            server.refreshTls();
          },
          clock,
          random,
          logger,
        },
        signal,
      ),
    );
  }

  #dispatcherAt(address: string, clock: Clock): ManagerConnection {
    const channel = connect({
      address,
      tls: () => this.#identity.credentials,
      serverRole: 'manager',
      clusterId: this.#identity.membership.clusterId,
    });
    return {
      dispatcher: createDispatcherClient(channel),
      reaches: (timeoutMs, signal) => reaches(parseAddress(address), { clock, timeoutMs, signal }),
      [Symbol.asyncDispose]: () => Promise.resolve(channel[Symbol.dispose]()),
    };
  }
}
