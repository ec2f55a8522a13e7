/** Connections from this manager to the others and to agents: one a target, kept while it is used. */
import {
  connect,
  createAgentClient,
  createCaClient,
  createControlClient,
  createEngineClient,
  createLeaderClient,
  createMembershipClient,
  type AgentService,
  type Ca,
  type Channel,
  type ClientTls,
  type Control,
  type Engine,
  type Leader,
  type Membership,
} from '@swarmd/api';
import type { ClusterId } from '@swarmd/model';

import { AGENT_CONNECTIONS_MAX } from '../limits.ts';

/** Another manager's services that requests are passed on to. */
export interface ManagerClients {
  readonly control: Control;
  readonly leader: Leader;
  readonly ca: Ca;
  readonly membership: Membership;
}

/** What an agent serves to managers. */
export interface AgentClients {
  readonly agent: AgentService;
  readonly engine: Engine;
}

interface Connected<Clients> {
  readonly channel: Channel;
  readonly clients: Clients;
}

export class Peers implements Disposable {
  readonly #tls: () => ClientTls;
  readonly #clusterId: ClusterId;
  readonly #managers = new Map<string, Connected<ManagerClients>>();
  readonly #agents = new Map<string, Connected<AgentClients>>();

  /** `tls` answers the same object until the identity changes. */
  constructor(options: { tls: () => ClientTls; clusterId: ClusterId }) {
    this.#tls = options.tls;
    this.#clusterId = options.clusterId;
  }

  manager(address: string): ManagerClients {
    let connected = this.#managers.get(address);
    if (connected === undefined) {
      const clusterId = this.#clusterId;
      const channel = connect({ address, tls: this.#tls, serverRole: 'manager', clusterId });
      const clients = {
        control: createControlClient(channel),
        leader: createLeaderClient(channel),
        ca: createCaClient(channel),
        membership: createMembershipClient(channel),
      };
      connected = { channel, clients };
      this.#managers.set(address, connected);
    }
    return connected.clients;
  }

  /** Closes connections to managers that are none any more. */
  retainManagers(addresses: ReadonlySet<string>): void {
    for (const [address, { channel }] of this.#managers) {
      if (addresses.has(address)) continue;
      this.#managers.delete(address);
      channel[Symbol.dispose]();
    }
  }

  agent(address: string): AgentClients {
    let connected = this.#agents.get(address);
    if (connected === undefined) {
      const channel = connect({ address, tls: this.#tls, clusterId: this.#clusterId });
      const clients = { agent: createAgentClient(channel), engine: createEngineClient(channel) };
      connected = { channel, clients };
    } else {
      this.#agents.delete(address);
    }
    // Last used comes last: the first is the one to close. Its streams, if any, go on to their end.
    this.#agents.set(address, connected);
    if (this.#agents.size > AGENT_CONNECTIONS_MAX) this.#closeOldestAgent();
    return connected.clients;
  }

  [Symbol.dispose](): void {
    for (const { channel } of [...this.#managers.values(), ...this.#agents.values()]) {
      channel[Symbol.dispose]();
    }
  }

  #closeOldestAgent(): void {
    for (const [address, { channel }] of this.#agents) {
      this.#agents.delete(address);
      channel[Symbol.dispose]();
      return;
    }
  }
}
