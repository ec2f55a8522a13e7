/**
 * Netlink objects (links, forwarding entries, neighbours, routes, rules) as values that can be
 * compared: two objects are the same iff key and `put` are equal.
 */
import { unreachable } from '@swarmd/base';

import {
  bridgeIndex,
  bridgeLink,
  ESP_GUARD_PRIORITY,
  ESP_PRIORITY,
  ESP_REQUEST,
  INGRESS_LINK,
  LOOPBACK_LABEL,
  OVERLAY_NETNS,
  vxlanLink,
} from './names.ts';
import type { Step } from './step.ts';

/** Which batch a line belongs to. Puts run in this order, deletes in the opposite one. */
export const PLACES = [
  /** States and policies of IPsec: before there is a device that could send in clear. */
  'host-xfrm',
  /** Creating devices: always from the host's namespace, where VXLAN's sockets live. */
  'host-links',
  'overlay',
  'overlay-forwarding',
  'host-sysctl',
  'host-forwarding',
  'host',
  /** Rules name no address by which their family could be told. */
  'host-rules6',
] as const;
export type Place = (typeof PLACES)[number];

export interface Statement {
  readonly place: Place;
  readonly line: string;
}

export interface KernelObject {
  readonly key: string;
  /** Key of the object without which this one vanishes: an entry of a device. */
  readonly on?: string;
  readonly put: readonly Statement[];
  readonly delete: readonly Statement[];
  /** True when `put` also turns an older version of the object into this one. */
  readonly replaces: boolean;
  /** True when it may only go once all else is in place: packets are still sent by it. */
  readonly goesLast?: boolean;
}

/** AES-128 in GCM with the whole tag: what every implementation must have (RFC 8221, 5). */
const ESP_CIPHER = 'rfc4106(gcm(aes))';
const ESP_ICV_BITS = 128;
/** How far packets may overtake each other. */
const ESP_REPLAY_PACKETS = 1_024;

export type KernelObjects = ReadonlyMap<string, KernelObject>;

/** The steps that run these statements, grouped by place. */
export function toSteps(statements: readonly Statement[], order: readonly Place[]): Step[] {
  return order.flatMap((place) => {
    const lines = statements.filter((one) => one.place === place).map((one) => one.line);
    return lines.length === 0 ? [] : [stepAt(place, lines)];
  });
}

function stepAt(place: Place, lines: readonly string[]): Step {
  switch (place) {
    case 'overlay':
      return { kind: 'ip', netns: OVERLAY_NETNS, lines };
    case 'overlay-forwarding':
      return { kind: 'bridge', netns: OVERLAY_NETNS, lines };
    case 'host-forwarding':
      return { kind: 'bridge', lines };
    case 'host-sysctl':
      return { kind: 'sysctl', lines };
    case 'host-xfrm':
    case 'host-links':
    case 'host':
      return { kind: 'ip', lines };
    case 'host-rules6':
      return { kind: 'ip', family: 6, lines };
    default:
      return unreachable(place);
  }
}

const at = (place: Place, ...lines: string[]): Statement[] =>
  lines.map((line) => ({ place, line }));

interface VxlanSpec {
  readonly vni: number;
  readonly mtu: number;
  /** Address of this host on the underlay. */
  readonly local: string;
  readonly port: number;
}

/** A network's bridge in the overlay namespace. */
export function bridgeObject(vni: number, mac: string): KernelObject {
  const name = bridgeLink(vni);
  return {
    key: `bridge ${vni}`,
    put: at(
      'overlay',
      `link add ${name} index ${bridgeIndex(vni)} address ${mac} type bridge mcast_snooping 0`,
      `link set ${name} up`,
    ),
    delete: at('overlay', `link del ${name}`),
    replaces: false,
  };
}

/**
 * A network's VXLAN device: its UDP socket stays in the host's namespace, the device works in the
 * overlay namespace. No learning, no flooding; ARP is answered from the bridge's neighbours.
 */
export function vxlanObject(spec: VxlanSpec): KernelObject {
  const name = vxlanLink(spec.vni);
  return {
    key: `vxlan ${spec.vni}`,
    put: [
      ...at('host-links', `link add ${name} mtu ${spec.mtu} netns ${OVERLAY_NETNS} ${vxlan(spec)}`),
      ...at(
        'overlay',
        `link set ${name} master ${bridgeLink(spec.vni)} up`,
        `link set ${name} type bridge_slave neigh_suppress on learning off`,
      ),
    ],
    delete: at('overlay', `link del ${name}`),
    replaces: false,
  };
}

function vxlan({ vni, local, port }: VxlanSpec): string {
  return `type vxlan id ${vni} local ${local} dstport ${port} nolearning`;
}

/** Where a remote endpoint's frames go: one message writes the VXLAN's and the bridge's entry. */
export function overlayForwardingObject(vni: number, mac: string, vtep: string): KernelObject {
  return {
    key: `fdb ${vni} ${mac}`,
    on: `vxlan ${vni}`,
    put: at(
      'overlay-forwarding',
      `fdb replace ${mac} dev ${vxlanLink(vni)} dst ${vtep} self master static`,
    ),
    // Without "dst" the kernel would not find the entry.
    delete: at(
      'overlay-forwarding',
      `fdb del ${mac} dev ${vxlanLink(vni)} dst ${vtep} self master`,
    ),
    replaces: true,
  };
}

export function overlayNeighbourObject(vni: number, address: string, mac: string): KernelObject {
  return {
    key: `neighbour ${vni} ${address}`,
    on: `bridge ${vni}`,
    put: at(
      'overlay',
      `neigh replace ${address} lladdr ${mac} dev ${bridgeLink(vni)} nud permanent`,
    ),
    delete: at('overlay', `neigh del ${address} dev ${bridgeLink(vni)}`),
    replaces: true,
  };
}

/**
 * The VXLAN between the hosts. Packets of clients from anywhere come in here, hence the loose
 * reverse path filter; answers to a host's own 127.0.0.1 do too, hence route_localnet.
 */
export function ingressLinkObject(
  spec: VxlanSpec & { mac: string; address: string },
): KernelObject {
  return {
    key: 'ingress',
    put: [
      ...at(
        'host-links',
        `link add ${INGRESS_LINK} mtu ${spec.mtu} address ${spec.mac} ${vxlan(spec)}`,
        `link set ${INGRESS_LINK} addrgenmode none up`,
        `addr replace ${spec.address}/32 dev ${INGRESS_LINK}`,
      ),
      ...at(
        'host-sysctl',
        `net/ipv4/conf/${INGRESS_LINK}/rp_filter=2`,
        `net/ipv4/conf/${INGRESS_LINK}/route_localnet=1`,
      ),
    ],
    delete: at('host-links', `link del ${INGRESS_LINK}`),
    replaces: false,
  };
}

export function ingressForwardingObject(mac: string, vtep: string): KernelObject {
  return {
    key: `ingress-fdb ${mac}`,
    on: 'ingress',
    put: at('host-forwarding', `fdb replace ${mac} dev ${INGRESS_LINK} dst ${vtep} self permanent`),
    delete: at('host-forwarding', `fdb del ${mac} dev ${INGRESS_LINK} dst ${vtep} self`),
    replaces: true,
  };
}

export function ingressNeighbourObject(address: string, mac: string): KernelObject {
  return {
    key: `ingress-neighbour ${address}`,
    on: 'ingress',
    put: at('host', `neigh replace ${address} lladdr ${mac} dev ${INGRESS_LINK} nud permanent`),
    delete: at('host', `neigh del ${address} dev ${INGRESS_LINK}`),
    replaces: true,
  };
}

/** An address of the host that lives on its loopback device, labelled as ours. */
export function loopbackAddressObject(address: string): KernelObject {
  return {
    key: `address ${address}`,
    put: at('host-links', `addr replace ${address}/32 dev lo label ${LOOPBACK_LABEL}`),
    delete: at('host-links', `addr del ${address}/32 dev lo`),
    replaces: true,
  };
}

/** The same of IPv6, which knows no labels: all of the mesh's addresses there are ours. */
export function loopbackAddress6Object(address: string): KernelObject {
  return {
    key: `address ${address}`,
    put: at('host-links', `addr replace ${address}/128 dev lo nodad`),
    delete: at('host-links', `addr del ${address}/128 dev lo`),
    replaces: true,
  };
}

/**
 * IPv6 on the VXLAN between the hosts. Answers to a host's own ::1 come in here (there is no
 * route_localnet in IPv6, but a local route by this device does the same).
 */
export function ingressAddress6Object(address: string): KernelObject {
  const settings = at(
    'host-sysctl',
    `net/ipv6/conf/${INGRESS_LINK}/disable_ipv6=0`,
    `net/ipv6/conf/${INGRESS_LINK}/accept_ra=0`,
  );
  return {
    key: 'ingress6',
    on: 'ingress',
    put: [
      ...settings,
      ...at(
        'host',
        `addr replace ${address}/128 dev ${INGRESS_LINK} nodad`,
        `route replace ${localhostRoute(INGRESS_LINK)}`,
      ),
    ],
    delete: at(
      'host',
      `route del ${localhostRoute(INGRESS_LINK)}`,
      `addr del ${address}/128 dev ${INGRESS_LINK}`,
    ),
    replaces: true,
  };
}

/** Worse than the kernel's own route, which all else uses. */
const LOCALHOST_METRIC = 2_048;

/**
 * Lets translated answers to ::1 in by a device. @param number other for each device, as to the kernel
 * routes with the same metric are the same route.
 */
export function localhostRoute(device: string, number = 0): string {
  return `local ::1/128 dev ${device} table local metric ${LOCALHOST_METRIC + number}`;
}

/** @param route `destination`: "::/0" is the default of IPv6. `target`: e.g. "via 10.255.0.2 dev ing0 onlink"; must name a device unless unreachable. */
export function routeObject(route: {
  table: string;
  destination: string;
  target: string;
  type?: 'unreachable';
  /** Unless given, the kernel's own, which comes before any that is. */
  metric?: number;
  on?: string;
  protocol: number;
}): KernelObject {
  const table = route.table === 'main' ? '' : ` table ${route.table}`;
  const type = route.type === undefined ? '' : `${route.type} `;
  const target = route.target === '' ? '' : ` ${route.target}`;
  const metric = route.metric === undefined ? '' : ` metric ${route.metric}`;
  const line = `${type}${route.destination}${target}${table}${metric} proto ${route.protocol}`;
  return {
    key: `route ${route.table} ${route.destination}${metric}`,
    ...(route.on === undefined ? {} : { on: route.on }),
    put: at('host', `route replace ${line}`),
    delete: at(
      'host',
      `route del ${type}${route.destination}${table}${metric} proto ${route.protocol}`,
    ),
    replaces: true,
  };
}

/** @param rule e.g. "pref 23041 fwmark 0x5a000001/0xffffffff lookup 1509949441". */
export function ruleObject(rule: string, protocol: number, family: 4 | 6): KernelObject {
  const place = family === 4 ? 'host' : 'host-rules6';
  return {
    key: family === 4 ? `rule ${rule}` : `rule6 ${rule}`,
    put: at(place, `rule add ${rule} protocol ${protocol}`),
    delete: at(place, `rule del ${rule} protocol ${protocol}`),
    replaces: false,
  };
}

interface EspSpec {
  readonly source: string;
  readonly destination: string;
  readonly spi: string;
  /** UDP port of VXLAN. */
  readonly port: number;
}

/**
 * Extended sequence numbers, as 2^32 packets are sent within the hour on a fast wire. The selector binds
 * the sender to its key: who has one of his own cannot send in another's name.
 */
export function espStateObject(spec: EspSpec & { key: string }): KernelObject {
  const { source, destination, spi, port, key } = spec;
  const id = `src ${source} dst ${destination} proto esp spi ${spi}`;
  return {
    key: `esp-state ${source} ${destination} ${spi}`,
    put: at(
      'host-xfrm',
      `xfrm state add ${id} reqid ${ESP_REQUEST} mode transport replay-window ${ESP_REPLAY_PACKETS} flag esn ` +
        `aead ${ESP_CIPHER} ${key} ${ESP_ICV_BITS} ` +
        `sel src ${source}/32 dst ${destination}/32 proto udp dport ${port}`,
    ),
    delete: at('host-xfrm', `xfrm state delete ${id}`),
    replaces: false,
    goesLast: true,
  };
}

/** Which state packets to a node are sent by. */
export function espPolicyObject({ source, destination, spi, port }: EspSpec): KernelObject {
  const selector = `src ${source}/32 dst ${destination}/32 proto udp dport ${port} dir out`;
  return {
    key: `esp-policy ${source} ${destination} ${port}`,
    put: at(
      'host-xfrm',
      `xfrm policy update ${selector} priority ${ESP_PRIORITY} tmpl src ${source} dst ${destination} ` +
        `proto esp spi ${spi} reqid ${ESP_REQUEST} mode transport`,
    ),
    delete: at('host-xfrm', `xfrm policy delete ${selector}`),
    replaces: true,
  };
}

/** Nothing leaves for the port unless a policy above says how, and nothing comes in but by our states. */
export function guardObjects(port: number): KernelObject[] {
  const selector = `src 0.0.0.0/0 dst 0.0.0.0/0 proto udp dport ${port}`;
  const guard = (direction: 'in' | 'out', what: string): KernelObject => ({
    key: `esp-guard ${direction} ${port}`,
    put: at('host-xfrm', `xfrm policy update ${selector} dir ${direction} ${what}`),
    delete: at('host-xfrm', `xfrm policy delete ${selector} dir ${direction}`),
    replaces: true,
  });
  return [
    guard('out', `action block priority ${ESP_GUARD_PRIORITY}`),
    guard(
      'in',
      `priority ${ESP_GUARD_PRIORITY} tmpl proto esp reqid ${ESP_REQUEST} mode transport`,
    ),
  ];
}
