/** A new network's VNI and subnet. */
import {
  formatIpv4,
  formatIpv4Network,
  ipv4Contains,
  ipv4Overlap,
  ipv4Part,
  parseIpv4,
  parseIpv4Network,
  type Cluster,
  type Ipv4Network,
  type Network,
  type NetworkSpec,
} from '@swarmd/model';

import { SUBNET_PREFIX_LENGTH, VNI_MAX, VNI_MIN } from '../limits.ts';
import type { PlanView } from '../types.ts';
import { allocated, refused, type Allocated } from './result.ts';

/** A subnet must hold its own two ends, the gateway, a virtual IP and a task. */
const PREFIX_LENGTH_MAX = 29;
const PREFIX_LENGTH_MIN = 8;

/** Everything of a new network that the managers choose. */
export function allocateNetwork(
  view: PlanView,
  spec: NetworkSpec,
): Allocated<Pick<Network, 'vni' | 'subnet' | 'gateway'>> {
  const networks = [...view.list('network')];
  const vni = freeVni(networks);
  if (vni === undefined) return refused('resource-exhausted', 'all VXLAN identifiers are in use');
  const subnet =
    spec.subnet === '' ? freeSubnet(view, networks) : givenSubnet(view, spec, networks);
  if (subnet.kind === 'refused') return subnet;
  return allocated({
    vni,
    subnet: formatIpv4Network(subnet.value),
    gateway: formatIpv4(subnet.value.base + 1),
  });
}

/** The one after the highest, so that the identifier of a removed network rests for long. */
function freeVni(networks: readonly Network[]): number | undefined {
  const used = new Set(networks.map((network) => network.vni));
  const next = Math.max(VNI_MIN - 1, ...used) + 1;
  if (next <= VNI_MAX) return next;
  for (let vni = VNI_MIN; vni <= VNI_MAX; vni += 1) if (!used.has(vni)) return vni;
  return undefined;
}

function freeSubnet(view: PlanView, networks: readonly Network[]): Allocated<Ipv4Network> {
  const cluster = clusterOf(view);
  const pool = cluster === undefined ? undefined : parseIpv4Network(cluster.spec.overlayPool);
  if (cluster === undefined || pool === undefined) {
    return refused('failed-precondition', 'the cluster has no pool of overlay networks');
  }
  const taken = [...networks.map((network) => network.subnet), ...ownPools(cluster)]
    .map((text) => parseIpv4Network(text))
    .filter((network) => network !== undefined);
  const hosts = underlayAddresses(view);
  for (const part of parts(pool)) {
    const free =
      !taken.some((other) => ipv4Overlap(part, other)) &&
      !hosts.some((host) => ipv4Contains(part, host));
    if (free) return allocated(part);
  }
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

function givenSubnet(
  view: PlanView,
  spec: NetworkSpec,
  networks: readonly Network[],
): Allocated<Ipv4Network> {
  const wanted = parseIpv4Network(spec.subnet);
  const isSane =
    wanted !== undefined &&
    wanted.prefixLength >= PREFIX_LENGTH_MIN &&
    wanted.prefixLength <= PREFIX_LENGTH_MAX;
  if (!isSane) {
    return refused(
      'invalid-argument',
      `subnet ${spec.subnet} is not an IPv4 network of /${PREFIX_LENGTH_MIN} to /${PREFIX_LENGTH_MAX} with the bits behind its prefix zero`,
    );
  }
  const overlaps = (text: string): boolean => {
    const other = parseIpv4Network(text);
    return other !== undefined && ipv4Overlap(wanted, other);
  };
  const rival = networks.find((network) => overlaps(network.subnet));
  if (rival !== undefined) {
    return refused(
      'failed-precondition',
      `subnet ${spec.subnet} overlaps ${rival.subnet} of network "${rival.spec.name}"`,
    );
  }
  const pool = ownPools(clusterOf(view)).find(overlaps);
  if (pool !== undefined) {
    return refused(
      'failed-precondition',
      `subnet ${spec.subnet} overlaps ${pool}, which the cluster uses itself`,
    );
  }
  const host = underlayAddresses(view).find((address) => ipv4Contains(wanted, address));
  if (host !== undefined) {
    return refused(
      'failed-precondition',
      `subnet ${spec.subnet} contains the node address ${formatIpv4(host)}`,
    );
  }
  return allocated(wanted);
}

function ownPools(cluster: Cluster | undefined): string[] {
  return cluster === undefined ? [] : [cluster.spec.gatewayPool, cluster.spec.ingressPool];
}

function underlayAddresses(view: PlanView): number[] {
  return [...view.list('node')]
    .map((node) => parseIpv4(node.status.address))
    .filter((address) => address !== undefined);
}

export function clusterOf(view: PlanView): Cluster | undefined {
  for (const cluster of view.list('cluster')) return cluster;
  return undefined;
}
