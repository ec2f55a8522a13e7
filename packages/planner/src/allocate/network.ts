/** A new network's VNI and subnet, and what may change of one that exists. */
import { assert } from '@swarmd/base';
import {
  formatIpv4,
  formatIpv4Network,
  parseIpv6Network,
  type Ipv4Network,
  type Network,
  type NetworkSpec,
} from '@swarmd/model';

import { VNI_MAX, VNI_MIN } from '../limits.ts';
import { sameSpec } from '../task-view.ts';
import type { PlanView } from '../types.ts';
import { givesAddresses, unfitForDriver } from './driver.ts';
import { allocated, refused, type Allocated } from './result.ts';
import { clusterOf, freeSubnet, givenSubnet, unfitAddresses } from './subnet.ts';

/** Everything of a new network that the managers choose. */
export function allocateNetwork(
  view: PlanView,
  spec: NetworkSpec,
): Allocated<Pick<Network, 'vni' | 'subnet' | 'gateway' | 'subnet6'>> {
  const unfit = unfitForDriver(spec);
  if (unfit !== undefined) return unfit;
  if (!givesAddresses({ spec })) return allocated({ vni: 0, subnet: '', gateway: '', subnet6: '' });
  const vni = freeVni([...view.list('network')]);
  if (vni === undefined) return refused('resource-exhausted', 'all VXLAN identifiers are in use');
  const needsSubnet = spec.gateway !== '' || spec.ipRange !== '' || sizeOf(spec.reserved) > 0;
  if (spec.subnet === '' && needsSubnet) {
    return refused(
      'invalid-argument',
      'a gateway, a range and reserved addresses belong to a subnet: give it, too',
    );
  }
  // The wire of a macvlan is the nodes' own.
  const onHostsWire = spec.driver === 'macvlan';
  const subnet =
    spec.subnet === '' ? freeSubnet(view) : givenSubnet(view, spec.subnet, { onHostsWire });
  if (subnet.kind === 'refused') return subnet;
  const wrong = unfitAddresses(spec, subnet.value);
  if (wrong !== undefined) return refused('invalid-argument', wrong);
  const text = formatIpv4Network(subnet.value);
  const more = givenSubnets(view, spec, [text]);
  if (more.kind === 'refused') return more;
  const gateway = spec.gateway === '' ? formatIpv4(subnet.value.base + 1) : spec.gateway;
  const subnet6 = spec.ipv6 ? ipv6Subnet(clusterOf(view)?.spec.overlayPool6, vni) : '';
  return allocated({ vni, subnet: text, gateway, subnet6 });
}

/** The network with another spec: labels may change, and subnets may be added. */
export function changedNetwork(
  view: PlanView,
  network: Network,
  spec: NetworkSpec,
): Allocated<Network> {
  const { labels, moreSubnets } = network.spec;
  if (!sameSpec({ ...spec, labels, moreSubnets }, network.spec)) {
    return refused(
      'invalid-argument',
      `of network "${network.spec.name}" only labels can change and subnets be added; make another network for the rest`,
    );
  }
  const missing = moreSubnets.find((subnet) => !spec.moreSubnets.includes(subnet));
  if (missing !== undefined) {
    return refused('failed-precondition', `subnet ${missing} may be in use and cannot be removed`);
  }
  const added = spec.moreSubnets.filter((subnet) => !moreSubnets.includes(subnet));
  const more = givenSubnets(view, { ...spec, moreSubnets: added }, []);
  return more.kind === 'refused' ? more : allocated({ ...network, spec });
}

function givenSubnets(
  view: PlanView,
  { driver, moreSubnets }: Pick<NetworkSpec, 'driver' | 'moreSubnets'>,
  before: readonly string[],
): Allocated<readonly Ipv4Network[]> {
  const subnets: Ipv4Network[] = [];
  for (const text of moreSubnets) {
    const others = [...before, ...subnets.map(formatIpv4Network)];
    const subnet = givenSubnet(view, text, { others, onHostsWire: driver === 'macvlan' });
    if (subnet.kind === 'refused') return subnet;
    subnets.push(subnet.value);
  }
  return allocated(subnets);
}

/**
 * A /96 for each VNI: that of the pool with the VNI behind the prefix. The pool is one of local addresses
 * (RFC 4193) unless people chose theirs. No packet with them leaves its overlay, so that the same ones
 * in another cluster do not matter.
 */
function ipv6Subnet(pool: string | undefined, vni: number): string {
  const prefix = parseIpv6Network(pool ?? '');
  assert(prefix !== undefined, `the cluster's pool ${pool} is an IPv6 network`);
  const groups = [...prefix.groups];
  const at = Math.ceil(prefix.length / 16);
  groups.splice(at, 2, Math.floor(vni / 65_536), vni % 65_536);
  // What is behind the VNI is zero.
  const written = groups.slice(0, at + 2).map((group) => group.toString(16));
  return `${written.join(':')}::/96`;
}

function sizeOf(record: Readonly<Record<string, unknown>>): number {
  return Object.keys(record).length;
}

/** The one after the highest, so that the identifier of a removed network rests for long. */
function freeVni(networks: readonly Network[]): number | undefined {
  const used = new Set(networks.map((network) => network.vni));
  const next = Math.max(VNI_MIN - 1, ...used) + 1;
  if (next <= VNI_MAX) return next;
  for (let vni = VNI_MIN; vni <= VNI_MAX; vni += 1) if (!used.has(vni)) return vni;
  return undefined;
}
