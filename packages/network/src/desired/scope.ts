/** What of a host's network belongs to one network or one service: for people who ask about it. */
import type { NetworkEndpoint, NetworkId, ServiceId } from '@swarmd/model';

import { macOf } from './addresses.ts';
import type { KernelObjects } from './kernel-object.ts';
import { keyOf, portChains } from './published-ports.ts';
import type { StateIndex } from './state-index.ts';

/** One of them. */
export interface NetworkScope {
  readonly networkId?: NetworkId;
  readonly serviceId?: ServiceId;
}

export class Scope {
  readonly #index: StateIndex;
  readonly #scope: NetworkScope;
  readonly #statement: RegExp;

  constructor(index: StateIndex, scope: NetworkScope) {
    this.#index = index;
    this.#scope = scope;
    const words = [...this.#vipWords(), ...this.#portWords()];
    // Neither the beginning of a longer number or address, nor the end of one.
    this.#statement =
      words.length === 0
        ? /^\b$/
        : new RegExp(`(?<![\\d.])(${words.join('|')})(?!\\d|_\\d|\\.\\d)`);
  }

  hasNetwork(networkId: NetworkId): boolean {
    const { networkId: wanted, serviceId } = this.#scope;
    if (wanted !== undefined) return wanted === networkId;
    return (this.#index.vips.get(networkId) ?? []).some((vip) => vip.serviceId === serviceId);
  }

  /** The networks in question that are on this host. */
  get networks(): readonly NetworkId[] {
    return [...this.#index.networks.keys()].filter((id) => this.hasNetwork(id));
  }

  hasEndpoint({ networkId, serviceId }: NetworkEndpoint): boolean {
    return this.hasNetwork(networkId) && (this.#scope.serviceId ?? serviceId) === serviceId;
  }

  /** Devices and entries. */
  objects(objects: KernelObjects): KernelObjects {
    const vnis = this.networks.map((id) => String(this.#index.networks.get(id)?.vni));
    const endpoints = this.#index.state.endpoints.filter((one) => this.hasEndpoint(one));
    const theirs = new Set(endpoints.flatMap(({ address }) => [address, macOf(address)]));
    const isTheirs = (key: string): boolean => {
      const [kind = '', vni = '', what] = key.split(' ');
      if (!OF_OVERLAYS.has(kind) || !vnis.includes(vni)) return false;
      return what === undefined || this.#scope.serviceId === undefined || theirs.has(what);
    };
    return new Map([...objects].filter(([key]) => isTheirs(key)));
  }

  /** @param statement as in a listing of a table: "chain vip_10_0_1_2: dnat to 10.0.1.5". */
  hasStatement(statement: string): boolean {
    return this.#statement.test(statement);
  }

  #vipWords(): string[] {
    const vips = this.networks.flatMap((id) => this.#index.vips.get(id) ?? []);
    return vips
      .filter(
        (vip) => vip.address !== '' && (this.#scope.serviceId ?? vip.serviceId) === vip.serviceId,
      )
      .flatMap(({ address }) => [
        address.replaceAll('.', String.raw`\.`),
        `vip_${address.replaceAll('.', '_')}`,
      ]);
  }

  #portWords(): string[] {
    const { ports } = this.#index.state;
    const chains = portChains(ports);
    return ports
      .filter(({ serviceId }) => serviceId === this.#scope.serviceId)
      .flatMap((port) => [
        chains.get(port)?.chain ?? keyOf(port),
        `${port.protocol} \\. ${port.publishedPort}`,
      ]);
  }
}

/** The first words of their objects' keys, before the VNI. */
const OF_OVERLAYS = new Set(['bridge', 'vxlan', 'fdb', 'neighbour']);
