/**
 * A container's nft table: virtual addresses become a serving task's address (any protocol, the
 * client's own address is kept), and DNS at 127.0.0.11 becomes DNS at the host's gateway address.
 */
import type { NetworkId, NodeId } from '@swarmd/model';

import { CONTAINER_GATEWAY_LINK, CONTAINER_NAMESERVER } from './names.ts';
import { balancing } from './balance.ts';
import type { NftProgram } from './nft-program.ts';
import { servingAddresses, type StateIndex } from './state-index.ts';

export interface TaskProgramInput {
  readonly index: StateIndex;
  readonly networks: readonly NetworkId[];
  /** The host's gateway address, where its DNS server listens. */
  readonly gateway: string;
}

export function taskProgram({ index, networks, gateway }: TaskProgramInput): NftProgram {
  const services = networks
    .flatMap((id) => index.vips.get(id) ?? [])
    .filter((vip) => vip.address !== '')
    .map((vip) => ({
      address: vip.address,
      chain: `vip_${vip.address.replaceAll('.', '_')}`,
      backends: servingAddresses(index, vip),
      affinity: vip.affinity,
      affinityTimeoutMs: vip.affinityTimeoutMs,
    }));
  const parts = services.map((service) => balancing(service));
  return {
    fixed: fixedPart(gateway),
    chains: new Map(parts.flatMap(({ chains }) => chains)),
    sets: new Map(parts.flatMap(({ sets }) => sets)),
    elements: new Map([
      ['vip4', new Map(services.map(({ address, chain }) => [address, `jump ${chain}`]))],
      ['vips', new Map(services.map(({ address }) => [address, '']))],
    ]),
  };
}

/**
 * The rule on `ct state` keeps conntrack registered when no other rule needs it, as connections that
 * are already translated depend on it. At the filter's priority a packet that still has a virtual
 * address found no backend.
 */
function fixedPart(gateway: string): string {
  return `  map vip4 { type ipv4_addr : verdict; }
  set vips { type ipv4_addr; }
  chain nat_out {
    type nat hook output priority -100; policy accept;
    ip daddr vmap @vip4
    ip daddr ${CONTAINER_NAMESERVER} udp dport 53 dnat to ${gateway}:53
    ip daddr ${CONTAINER_NAMESERVER} tcp dport 53 dnat to ${gateway}:53
  }
  chain nat_post {
    type nat hook postrouting priority 100; policy accept;
    ip saddr 127.0.0.0/8 oifname "${CONTAINER_GATEWAY_LINK}" masquerade
  }
  chain flt_out {
    type filter hook output priority 0; policy accept;
    ct state invalid accept
    ip daddr @vips meta l4proto tcp reject with tcp reset
    ip daddr @vips reject
  }`;
}

/** A connection to be forgotten: from virtual address to a backend that left. */
export interface DeadBackend {
  readonly virtualAddress: string;
  readonly address: string;
  /** False while the task is being stopped: its TCP connections may end in peace. */
  readonly gone: boolean;
}

/**
 * Backends that `before` had and `next` has not, for containers on `networks`. UDP clients that keep
 * their port would stay with a backend that left for as long as they send.
 */
export function deadBackends(
  before: StateIndex,
  next: StateIndex,
  networks: readonly NetworkId[],
): DeadBackend[] {
  return networks.flatMap((networkId) => {
    const alive = new Set((next.endpoints.get(networkId) ?? []).map(({ address }) => address));
    const vips = (before.vips.get(networkId) ?? []).filter((vip) => vip.address !== '');
    return vips.flatMap((vip) => {
      const serving = new Set(servingAddresses(next, vip));
      return previousBackends(before, vip)
        .filter(({ address }) => !serving.has(address))
        .map(({ address, wasServing }) => ({ address, wasServing, gone: !alive.has(address) }))
        .filter(({ wasServing, gone }) => wasServing || gone)
        .map(({ address, gone }) => ({ virtualAddress: vip.address, address, gone }));
    });
  });
}

function previousBackends(
  before: StateIndex,
  vip: { networkId: NetworkId; serviceId: string },
): { address: string; wasServing: boolean }[] {
  return (before.endpoints.get(vip.networkId) ?? [])
    .filter((endpoint) => endpoint.serviceId === vip.serviceId)
    .map((endpoint) => ({ address: endpoint.address, wasServing: endpoint.serving }));
}

/** The arguments of `conntrack` that make a container forget its connections to tasks of a node. */
export function connectionsTo(
  nodeId: NodeId,
  index: StateIndex,
  networks: readonly NetworkId[],
): string[] {
  return networks.flatMap((networkId) => {
    const vips = (index.vips.get(networkId) ?? []).filter((vip) => vip.address !== '');
    const there = (index.endpoints.get(networkId) ?? []).filter((one) => one.nodeId === nodeId);
    return vips.flatMap((vip) =>
      there
        .filter(({ serviceId }) => serviceId === vip.serviceId)
        .map(({ address }) => `-D --orig-dst ${vip.address} --reply-src ${address}`),
    );
  });
}

/** The arguments of `conntrack` that make a container forget these connections. */
export function forgetLines(dead: readonly DeadBackend[]): string[] {
  return dead.map(
    ({ virtualAddress, address, gone }) =>
      `-D${gone ? '' : ' -p udp'} --orig-dst ${virtualAddress} --reply-src ${address}`,
  );
}
