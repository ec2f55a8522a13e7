/** Forms the cluster with the commands a person would type, through `swarmctl` on the hosts. */
import { SwarmError, type Logger } from '@swarmd/base';

import { allEnded, waitUntil } from './condition.ts';
import type { Host } from './host.ts';
import type { Layout } from './layout.ts';

const DAEMON_TIMEOUT_MS = 90_000;
const FORM_TIMEOUT_MS = 120_000;

/** The fields of `swarmctl info --format json` that the lab needs. */
interface Info {
  readonly state: 'inactive' | 'pending' | 'active' | 'error';
  readonly error: string;
}

/** A row of `swarmctl node ls --format json`, as far as the lab reads it. */
export interface NodeRow {
  readonly id: string;
  readonly description?: { readonly hostname: string };
  readonly status: { readonly state: string; readonly address: string };
  readonly manager?: { readonly raftId: number };
}

export class Cluster {
  readonly #layout: Layout;
  readonly #nodes: readonly Host[];
  readonly #logger: Logger;

  constructor(layout: Layout, nodes: readonly Host[], logger: Logger) {
    this.#layout = layout;
    this.#nodes = nodes;
    this.#logger = logger;
  }

  /** Starts swarmd on a host unless it runs, and waits until it answers on its local socket. */
  async startDaemon(host: Host): Promise<void> {
    if ((await host.servicePid('swarmd')) === undefined) {
      await host.startService('swarmd', [
        'swarmd',
        '--advertise-addr',
        host.place.address,
        '--cgroup-parent',
        host.cgroupParent,
        '--insecure-registry',
        this.#layout.registryEndpoint,
        '--insecure-registry',
        this.#layout.guardedEndpoint,
      ]);
    }
    await waitUntil(
      {
        what: `swarmd on ${host.name} to answer (see ${host.dir}/swarmd.log)`,
        timeoutMs: DAEMON_TIMEOUT_MS,
      },
      () => this.#info(host),
    );
  }

  /** Init on the first manager, join everywhere else; hosts that are in the cluster already stay. */
  async form(): Promise<void> {
    const [first, ...others] = this.#nodes;
    if (first === undefined)
      throw new SwarmError('invalid-argument', 'a cluster needs at least one manager');
    if ((await this.#state(first)) === 'inactive') {
      const member = await this.#memberAmong(others);
      if (member === undefined) {
        this.#logger.info({ host: first.name }, 'swarm init');
        await first.exec(['swarmctl', 'swarm', 'init', ...this.#addressesOf(first)]);
      } else {
        await this.#join(first, member);
      }
    }
    await waitUntil(
      { what: `${first.name} to serve the control API`, timeoutMs: FORM_TIMEOUT_MS },
      async () => {
        const { code } = await first.exec(['swarmctl', 'node', 'ls'], { okCodes: [0, 1, 2, 3, 4] });
        return code === 0 ? true : undefined;
      },
    );
    // Managers one after the other: each membership change needs the one before.
    for (const host of others.filter(({ place }) => place.role === 'manager'))
      await this.#joinIfInactive(host, first);
    await allEnded(
      others
        .filter(({ place }) => place.role === 'worker')
        .map((host) => this.#joinIfInactive(host, first)),
    );
    await this.allReady(first);
  }

  /**
   * Waits until every host of the lab is a ready node, every manager a Raft member with a vote that answers itself.
   * The others' view is not enough: a daemon that was killed just now is ready to them until its session ends.
   */
  async allReady(on: Host): Promise<void> {
    const managers = this.#nodes.filter(({ place }) => place.role === 'manager').length;
    await waitUntil(
      {
        what: `all ${this.#nodes.length} nodes to be ready (see swarmctl node ls)`,
        timeoutMs: FORM_TIMEOUT_MS,
      },
      async () => {
        const rows = await this.nodes(on);
        const ready = this.#nodes.every(({ place }) =>
          rows.some(
            (row) =>
              row.status.address === place.address &&
              row.status.state === 'ready' &&
              (place.role !== 'manager' || row.manager !== undefined),
          ),
        );
        if (!ready || (await this.#voters(on)) !== managers) return undefined;
        const answers = await Promise.all(this.#nodes.map((host) => this.#answers(host)));
        return answers.every(Boolean) ? true : undefined;
      },
    );
  }

  /** Whether a host's daemon is up and in the cluster, a manager with its control API. */
  async #answers(host: Host): Promise<boolean> {
    if (host.place.role === 'manager') return (await this.nodes(host)).length > 0;
    return (await this.#info(host))?.state === 'active';
  }

  /** Raft members with a vote, as a manager sees them. */
  async #voters(on: Host): Promise<number> {
    const { code, stdout } = await on.exec(
      ['swarmctl', 'swarm', 'raft', 'status', '--format', 'json'],
      { okCodes: [0, 1, 2, 3, 4] },
    );
    if (code !== 0) return 0;
    const [status] = JSON.parse(stdout) as { members: { role: string }[] }[];
    return status?.members.filter((member) => member.role === 'voter').length ?? 0;
  }

  /** `swarmctl node ls` as a manager answers it; empty while it cannot answer. */
  async nodes(on: Host): Promise<NodeRow[]> {
    const { code, stdout } = await on.exec(['swarmctl', 'node', 'ls', '--format', 'json'], {
      okCodes: [0, 1, 2, 3, 4],
    });
    return code === 0 ? (JSON.parse(stdout) as NodeRow[]) : [];
  }

  async #memberAmong(hosts: readonly Host[]): Promise<Host | undefined> {
    for (const host of hosts) {
      if (host.place.role === 'manager' && (await this.#state(host)) === 'active') return host;
    }
    return undefined;
  }

  async #joinIfInactive(host: Host, manager: Host): Promise<void> {
    if ((await this.#state(host)) === 'inactive') await this.#join(host, manager);
  }

  async #join(host: Host, manager: Host): Promise<void> {
    const role = host.place.role;
    this.#logger.info({ host: host.name, role }, 'swarm join');
    const token = (
      await manager.exec(['swarmctl', 'swarm', 'join-token', '--quiet', role])
    ).stdout.trim();
    await host.exec([
      'swarmctl',
      'swarm',
      'join',
      '--token',
      token,
      ...this.#addressesOf(host),
      `${manager.place.address}:4242`,
    ]);
  }

  #addressesOf({ place }: Host): string[] {
    const dataPath =
      this.#layout.options.dataPath6 === true ? ['--data-path-addr', place.address6] : [];
    return ['--advertise-addr', place.address, ...dataPath];
  }

  async #state(host: Host): Promise<Info['state']> {
    const info = await waitUntil(
      { what: `swarmd on ${host.name} to settle`, timeoutMs: DAEMON_TIMEOUT_MS },
      async () => {
        const answer = await this.#info(host);
        return answer === undefined || answer.state === 'pending' ? undefined : answer;
      },
    );
    if (info.state === 'error')
      throw new SwarmError('failed-precondition', `swarmd on ${host.name}: ${info.error}`);
    return info.state;
  }

  async #info(host: Host): Promise<Info | undefined> {
    const { code, stdout } = await host.exec(['swarmctl', 'info', '--format', 'json'], {
      okCodes: [0, 1, 2, 3, 4],
    });
    return code === 0 ? (JSON.parse(stdout) as Info) : undefined;
  }
}
