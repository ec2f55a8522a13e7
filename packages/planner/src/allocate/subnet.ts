/** Subnets of networks: which may be had, and which addresses of them are given out. */
import {
  formatIpv4,
  formatIpv4Network,
  ipv4Contains,
  ipv4Overlap,
  ipv4Part,
  ipv4Within,
  parseIpv4,
  parseIpv4Network,
  type Cluster,
  type Ipv4Network,
  type Network,
  type NetworkSpec,
  type Node,
} from '@swarmd/model';

import { SUBNET_PREFIX_LENGTH } from '../limits.ts';
import type { PlanView } from '../types.ts';
import { allocated, refused, type Allocated } from './result.ts';

/** A subnet must hold its own two ends, the gateway, a virtual IP and a task. */
const PREFIX_LENGTH_MAX = 29;
const PREFIX_LENGTH_MIN = 8;

/** All subnets of a network, the first one first. */
export function subnetsOf(network: Pick<Network, 'subnet' | 'spec'>): string[] {
  return [network.subnet, ...network.spec.moreSubnets];
}

/** The subnet of a network that an address belongs to. */
export function subnetOf(network: Network, address: string): string {
  const number = parseIpv4(address) ?? 0;
  const holds = (text: string): boolean => {
    const subnet = parseIpv4Network(text);
    return subnet !== undefined && ipv4Contains(subnet, number);
  };
  return network.spec.moreSubnets.find(holds) ?? network.subnet;
}

/** Addresses from the first to the last, both given out. */
export interface AddressRange {
  readonly first: number;
  readonly last: number;
}

/**
 * What a network gives out, in this order. The ends of a subnet are nobody's, and the first address of
 * every further one is left to routers, as the gateway is of the first.
 */
export function rangesOf(network: Network): AddressRange[] {
  const first = usable(network.subnet, 1);
  const part = parseIpv4Network(network.spec.ipRange);
  const limited =
    part === undefined
      ? first
      : {
          first: Math.max(first.first, part.base),
          last: Math.min(first.last, part.base + part.size - 1),
        };
  return [limited, ...network.spec.moreSubnets.map((subnet) => usable(subnet, 2))];
}

/** Without `ahead` addresses at the beginning and the last one. */
export function usable(text: string, ahead: number): AddressRange {
  const subnet = parseIpv4Network(text);
  if (subnet === undefined) return { first: 0, last: -1 };
  return { first: subnet.base + ahead, last: subnet.base + subnet.size - 2 };
}

/** Is what the spec says of its own subnet possible? @returns a sentence if not. */
export function unfitAddresses(spec: NetworkSpec, subnet: Ipv4Network): string | undefined {
  const text = formatIpv4Network(subnet);
  const inside = (address: string): boolean => {
    const number = parseIpv4(address);
    return number !== undefined && ipv4Contains(subnet, number);
  };
  const given = [['gateway', spec.gateway] as const, ...Object.entries(spec.reserved)];
  for (const [name, address] of given) {
    if (address !== '' && !inside(address)) return `${name} ${address} is not in subnet ${text}`;
  }
  const { first, last } = usable(text, 0);
  const gateway = parseIpv4(spec.gateway);
  if (gateway === first || gateway === last + 1) {
    return `gateway ${spec.gateway} is an end of subnet ${text}; take an address between them`;
  }
  if (spec.ipRange === '') return undefined;
  const range = parseIpv4Network(spec.ipRange);
  if (range === undefined || !ipv4Within(range, subnet)) {
    return `range ${spec.ipRange} is not a part of subnet ${text}`;
  }
  return undefined;
}

/**
 * A free part of the cluster's pool. Networks that nodes have beside it are avoided if possible. `others`: subnets
 * that are spoken for beside those of the stored networks.
 */
export function freeSubnet(
  view: Pick<PlanView, 'list'>,
  others: readonly string[] = [],
): Allocated<Ipv4Network> {
  const cluster = clusterOf(view);
  const pool = cluster === undefined ? undefined : parseIpv4Network(cluster.spec.overlayPool);
  if (cluster === undefined || pool === undefined) {
    return refused('failed-precondition', 'the cluster has no pool of overlay networks');
  }
  const taken = [...view.list('network')]
    .flatMap(subnetsOf)
    .concat(ownPools(cluster), others)
    .map((text) => parseIpv4Network(text))
    .filter((network) => network !== undefined);
  const hosts = underlayAddresses(view);
  const foreign = foreignNetworks(view).map(({ network }) => network);
  let second: Ipv4Network | undefined;
  for (const part of parts(pool)) {
    const isFree =
      !taken.some((other) => ipv4Overlap(part, other)) &&
      !hosts.some((host) => ipv4Contains(part, host));
    if (!isFree) continue;
    if (!foreign.some((other) => ipv4Overlap(part, other))) return allocated(part);
    second ??= part;
  }
  if (second !== undefined) return allocated(second);
  return refused(
    'resource-exhausted',
    `no /${SUBNET_PREFIX_LENGTH} is left in the cluster's pool ${cluster.spec.overlayPool}; remove a network or give a subnet`,
  );
}

/** The first comes last: that of 10.0.0.0/8 is the most common network of homes and offices. */
function* parts(pool: Ipv4Network): Iterable<Ipv4Network> {
  for (let n = 1; ; n += 1) {
    const part = ipv4Part(pool, SUBNET_PREFIX_LENGTH, n);
    if (part === undefined) break;
    yield part;
  }
  const first = ipv4Part(pool, SUBNET_PREFIX_LENGTH, 0);
  if (first !== undefined) yield first;
}

/** `others`: subnets that are spoken for beside those of the stored networks. */
export function givenSubnet(
  view: PlanView,
  text: string,
  options: SubnetUse = {},
): Allocated<Ipv4Network> {
  const wanted = parseIpv4Network(text);
  const isSane =
    wanted !== undefined &&
    wanted.prefixLength >= PREFIX_LENGTH_MIN &&
    wanted.prefixLength <= PREFIX_LENGTH_MAX;
  if (!isSane) {
    return refused(
      'invalid-argument',
      `subnet ${text} is not an IPv4 network of /${PREFIX_LENGTH_MIN} to /${PREFIX_LENGTH_MAX} with the bits behind its prefix zero`,
    );
  }
  const rival = rivalOf(view, wanted, options);
  return rival === undefined
    ? allocated(wanted)
    : refused('failed-precondition', `subnet ${text} ${rival}`);
}

interface SubnetUse {
  /** Further subnets of the same network. */
  readonly others?: readonly string[];
  /** The nodes may have addresses in it. */
  readonly onHostsWire?: boolean;
}

/** What stands against a subnet, as the rest of a sentence. */
function rivalOf(
  view: PlanView,
  wanted: Ipv4Network,
  { others = [], onHostsWire = false }: SubnetUse,
): string | undefined {
  const overlaps = (text: string): boolean => {
    const other = parseIpv4Network(text);
    return other !== undefined && ipv4Overlap(wanted, other);
  };
  for (const network of view.list('network')) {
    const subnet = subnetsOf(network).find(overlaps);
    if (subnet !== undefined) return `overlaps ${subnet} of network "${network.spec.name}"`;
  }
  const twin = others.find(overlaps);
  if (twin !== undefined) return `overlaps ${twin} of the same network`;
  const pool = ownPools(clusterOf(view)).find(overlaps);
  if (pool !== undefined) return `overlaps ${pool}, which the cluster uses itself`;
  if (onHostsWire) return undefined;
  const host = underlayAddresses(view).find((address) => ipv4Contains(wanted, address));
  if (host !== undefined) return `contains the node address ${formatIpv4(host)}`;
  const foreign = foreignNetworks(view).find(({ network }) => ipv4Overlap(wanted, network));
  if (foreign === undefined) return undefined;
  const { network, node } = foreign;
  const name = node.description?.hostname ?? node.id;
  return `overlaps ${formatIpv4Network(network)}, to which node ${name} has a route: containers could not reach it; choose another one`;
}

function ownPools(cluster: Cluster | undefined): string[] {
  return cluster === undefined ? [] : [cluster.spec.gatewayPool, cluster.spec.ingressPool];
}

function underlayAddresses(view: Pick<PlanView, 'list'>): number[] {
  return [...view.list('node')]
    .map((node) => parseIpv4(node.status.address))
    .filter((address) => address !== undefined);
}

function foreignNetworks(view: Pick<PlanView, 'list'>): { network: Ipv4Network; node: Node }[] {
  return [...view.list('node')].flatMap((node) =>
    (node.description?.networks ?? []).flatMap((text) => {
      const network = parseIpv4Network(text);
      return network === undefined ? [] : [{ network, node }];
    }),
  );
}

export function clusterOf(view: Pick<PlanView, 'list'>): Cluster | undefined {
  for (const cluster of view.list('cluster')) return cluster;
  return undefined;
}
