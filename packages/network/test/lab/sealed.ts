/** Hosts with an encrypted network between them, and what of it is seen on the wire. */
import type { KeyRing, NetworkState } from '@swarmd/model';

import { network, peer, stateOf, task, type Cluster, type Placed } from './cluster.ts';
import { Lab, type Host } from './lab.ts';
import type { OpenOptions } from './host.ts';

const NODES = 2;
export const safe = network('safe', 4097, { encrypted: true });
const on = (id: string, node: number, host: number): Placed => ({
  id,
  node,
  host,
  service: id.slice(0, -1),
  slot: node,
  networks: [safe],
});
export const tasks = [on('web1', 1, 11), on('web2', 2, 12)] as const;
const cluster: Cluster = { nodes: NODES, networks: [safe], tasks, vips: { web: 2 }, ports: [] };
export const ADDRESSES = ['10.0.1.11', '10.0.1.12'] as const;

/** A ring as managers make them; `of` says whose secrets they are. */
export function ring(ids: readonly number[], primary: number, of = 1): KeyRing {
  const keys = ids.map((id) => ({
    id,
    secret: new Uint8Array(32).fill(16 * of + id),
    createdAt: 0,
  }));
  return { keys, primary };
}

export class Sealed implements AsyncDisposable {
  readonly lab: Lab;
  readonly hosts: readonly [Host, Host];
  readonly #seen = new Map<string, number>();
  /** Told to the hosts with the next state. */
  encryptsMesh = false;

  private constructor(lab: Lab) {
    this.lab = lab;
    this.hosts = lab.hosts as unknown as Sealed['hosts'];
  }

  static async open(options: OpenOptions = {}): Promise<Sealed> {
    const lab = await Lab.open(NODES);
    const sealed = new Sealed(lab);
    await lab.run('sw', 'nft', WATCH);
    await Promise.all(lab.hosts.map((host) => host.open(options)));
    return sealed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab[Symbol.asyncDispose]();
  }

  host(node: number): Host {
    const host = this.hosts[node - 1];
    if (host === undefined) throw new Error(`there is no host ${node}`);
    return host;
  }

  /** What a host is told: the ring, and the others as they have declared themselves. */
  async state(node: number, keys?: KeyRing): Promise<NetworkState> {
    const state = stateOf({ ...cluster, encryptsMesh: this.encryptsMesh }, node);
    if (keys === undefined) return state;
    const declared = await Promise.all(this.hosts.map((host) => host.encryption()));
    const peers = declared.flatMap(({ incarnation }, i) => {
      const { nodeId, index, address } = peer(i + 1);
      return incarnation === '' ? [] : [{ nodeId, index, address, incarnation }];
    });
    return { ...state, encryption: { ...keys, peers } };
  }

  async apply(node: number, keys?: KeyRing): Promise<void> {
    await this.host(node).apply(await this.state(node, keys));
  }

  /** Every host is told, one after the other in this order. */
  async spread(keys: KeyRing | undefined, order: readonly number[] = [1, 2]): Promise<void> {
    for (const node of order) await this.apply(node, keys);
  }

  async attachAll(): Promise<void> {
    await Promise.all(tasks.map((one) => this.host(one.node).attach(task(one))));
  }

  /** How many of so many pings from a node's task to another's are answered. */
  async pings(from: number, to: number, args: readonly string[]): Promise<number> {
    const argv = ['ping', '-q', ...args, ADDRESSES[to - 1] ?? ''];
    const { out } = await this.host(from).in(`web${from}`, ...argv);
    return Number(/(\d+) received/.exec(out)?.[1] ?? -1);
  }

  /** How many of so many pings between the hosts themselves, over the mesh, are answered. */
  async meshPings(from: number, to: number, args: readonly string[]): Promise<number> {
    const { out } = await this.host(from).run('ping', '-q', ...args, peer(to).ingressAddress);
    return Number(/(\d+) received/.exec(out)?.[1] ?? -1);
  }

  /** Packets between the hosts since the last look. */
  async wire(): Promise<{ esp: number; clear: number; plain: number }> {
    const { out } = await this.lab.run('sw', 'nft', 'list', 'table', 'bridge', 'watch');
    const since = (name: string): number => {
      const total = Number(new RegExp(`packets (\\d+) .* comment "${name}"`).exec(out)?.[1]);
      const packets = total - (this.#seen.get(name) ?? 0);
      this.#seen.set(name, total);
      return packets;
    };
    return { esp: since('esp'), clear: since('clear'), plain: since('plain') };
  }

  /** A counter of a host's IPsec, e.g. "XfrmInNoStates". */
  async xfrm(node: number, name: string): Promise<number> {
    const { out } = await this.host(node).run('cat', '/proc/net/xfrm_stat');
    return Number(new RegExp(`^${name}\\s+(\\d+)`, 'm').exec(out)?.[1] ?? -1);
  }
}

/** ESP; VXLAN of encrypted networks in clear, which must never be; VXLAN of others. */
const WATCH = `table bridge watch {
    chain wire {
      type filter hook forward priority 0; policy accept;
      ip protocol esp counter comment "esp"
      udp dport 4790 counter comment "clear"
      udp dport 4789 counter comment "plain"
    }
  }`;
