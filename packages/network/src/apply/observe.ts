/**
 * What of ours the kernel has now, in the same form as what it should have, so that after a restart
 * of the daemon only differences are touched.
 */
import { readFile } from 'node:fs/promises';

import { macOf } from '../desired/addresses.ts';
import { hostPrefix, MESH_PREFIX6 } from '../desired/family.ts';
import {
  bridgeObject,
  ingressAddress6Object,
  ingressForwardingObject,
  ingressLinkObject,
  ingressNeighbourObject,
  loopbackAddress6Object,
  loopbackAddressObject,
  overlayForwardingObject,
  overlayNeighbourObject,
  routeObject,
  ruleObject,
  vxlanObject,
  type KernelObject,
  type KernelObjects,
} from '../desired/kernel-object.ts';
import {
  BARRIER_METRIC,
  bridgeIndex,
  bridgeLink,
  INGRESS_LINK,
  LOOPBACK_LABEL,
  OVERLAY_NETNS,
  ROUTE_PROTOCOL,
  RULE_END,
  RULE_NODE,
  RULE_SKIP,
  vxlanLink,
} from '../desired/names.ts';
import { listJson } from './listing.ts';
import { observeEncryption } from './observe-encryption.ts';

export interface LinkRow {
  readonly ifindex: number;
  readonly ifname: string;
  readonly address: string;
  readonly mtu: number;
  readonly flags: readonly string[];
  readonly master?: string;
  readonly linkinfo?: {
    readonly info_kind?: string;
    readonly info_data?: {
      readonly id?: number;
      readonly local?: string;
      /** Instead of `local` where it is IPv6. */
      readonly local6?: string;
      readonly port?: number;
    };
    readonly info_slave_data?: { readonly neigh_suppress?: boolean; readonly learning?: boolean };
  };
}
interface AddressRow {
  readonly ifname: string;
  readonly mtu: number;
  readonly addr_info: readonly { local: string; label?: string }[];
}
interface ForwardingRow {
  readonly mac: string;
  readonly ifname?: string;
  readonly dst?: string;
  readonly master?: string;
  readonly state: string;
}
interface NeighbourRow {
  readonly dst: string;
  readonly dev?: string;
  readonly lladdr: string;
}
interface RouteRow {
  readonly type?: string;
  readonly dst: string;
  readonly gateway?: string;
  readonly dev?: string;
  readonly prefsrc?: string;
  readonly table?: string;
  readonly metric?: number;
  readonly flags: readonly string[];
}
interface RuleRow {
  readonly priority: number;
  readonly fwmark?: string;
  readonly table?: string;
}

export async function observe(): Promise<KernelObjects> {
  const parts = await Promise.all([observeEncryption(), observeHost(), observeOverlay()]);
  return new Map(parts.flat().map((object) => [object.key, object]));
}

/** The MTU of the interface that holds an address of this host; undefined when none does. */
export async function mtuOfAddress(address: string): Promise<number | undefined> {
  const rows = await listJson<AddressRow>('ip', ['addr', 'show']);
  return rows.find((row) => row.addr_info.some(({ local }) => local === address))?.mtu;
}

async function observeOverlay(): Promise<KernelObject[]> {
  const inside = ['-n', OVERLAY_NETNS];
  const [links, forwarding, neighbours] = await Promise.all([
    listJson<LinkRow>('ip', [...inside, '-d', 'link', 'show']),
    listJson<ForwardingRow>('bridge', [...inside, 'fdb', 'show']),
    listJson<NeighbourRow>('ip', [...inside, 'neigh', 'show', 'nud', 'permanent']),
  ]);
  return [
    ...links.flatMap(overlayLinkOf),
    ...overlayForwardingOf(forwarding),
    ...neighbours.flatMap(({ dst, dev, lladdr }) => {
      const vni = numberAfter('br', dev);
      return vni === undefined ? [] : [overlayNeighbourObject(vni, dst, lladdr)];
    }),
  ];
}

/** A device that is not as we make them gets no `put`, so that it counts as different. */
function overlayLinkOf(row: LinkRow): KernelObject[] {
  const up = row.flags.includes('UP');
  const bridge = numberAfter('br', row.ifname);
  if (bridge !== undefined) {
    const good = up && row.ifindex === bridgeIndex(bridge);
    return [orBroken(bridgeObject(bridge, row.address), good)];
  }
  const vni = numberAfter('vx', row.ifname);
  if (vni === undefined) return [];
  const slave = row.linkinfo?.info_slave_data;
  const good =
    up &&
    row.master === bridgeLink(vni) &&
    slave?.neigh_suppress === true &&
    slave.learning === false &&
    row.linkinfo?.info_data?.id === vni;
  return [orBroken(vxlanObject({ vni, mtu: row.mtu, ...tunnelOf(row) }), good)];
}

function tunnelOf(row: LinkRow): { local: string; port: number } {
  const data = row.linkinfo?.info_data;
  return { local: data?.local ?? data?.local6 ?? '', port: data?.port ?? 0 };
}

function orBroken(object: KernelObject, good: boolean): KernelObject {
  return good ? object : { ...object, put: [] };
}

/**
 * One of our entries is two rows: where the VXLAN sends it, and that the bridge gives it to the
 * VXLAN. Half of one counts as different, and only that half can be deleted.
 */
function overlayForwardingOf(rows: readonly ForwardingRow[]): KernelObject[] {
  const keyOf = ({ ifname, mac }: ForwardingRow): string => `${ifname} ${mac}`;
  const sent = rows.filter(({ dst }) => dst !== undefined);
  const bridged = rows.filter(({ master, state }) => master !== undefined && state === 'static');
  const sentKeys = new Set(sent.map(keyOf));
  const bridgedKeys = new Set(bridged.map(keyOf));
  return [...sent, ...bridged.filter((row) => !sentKeys.has(keyOf(row)))].flatMap((row) => {
    const vni = numberAfter('vx', row.ifname);
    if (vni === undefined) return [];
    const object = overlayForwardingObject(vni, row.mac, row.dst ?? '');
    if (row.dst !== undefined && bridgedKeys.has(keyOf(row))) return [object];
    const half = row.dst === undefined ? 'master' : `dst ${row.dst} self`;
    const line = `fdb del ${row.mac} dev ${vxlanLink(vni)} ${half}`;
    return [{ ...object, put: [], delete: [{ place: 'overlay-forwarding' as const, line }] }];
  });
}

async function observeHost(): Promise<KernelObject[]> {
  const proto = ['proto', String(ROUTE_PROTOCOL)];
  const [links, addresses, routes, rules, ...ofIpv6] = await Promise.all([
    listJson<LinkRow>('ip', ['-d', 'link', 'show', 'type', 'vxlan']),
    listJson<AddressRow>('ip', ['-4', 'addr', 'show']),
    listJson<RouteRow>('ip', ['-4', 'route', 'show', 'table', 'all', ...proto]),
    listJson<RuleRow>('ip', ['rule', 'show']),
    listJson<AddressRow>('ip', ['-6', 'addr', 'show']),
    listJson<RouteRow>('ip', ['-6', 'route', 'show', 'table', 'all', ...proto]),
    listJson<RuleRow>('ip', ['-6', 'rule', 'show']),
    listJson<RouteRow>('ip', ['-6', 'route', 'show', 'table', 'local']),
  ]);
  const [addresses6, routes6, rules6, local6] = ofIpv6;
  const ingress = links.find(({ ifname }) => ifname === INGRESS_LINK);
  const labelled = addresses
    .flatMap(({ addr_info }) => addr_info)
    .filter(({ label }) => label === LOOPBACK_LABEL);
  return [
    ...(ingress === undefined ? [] : await observeIngress(ingress, addresses)),
    ...labelled.map(({ local }) => loopbackAddressObject(local)),
    ...routes.map((row) => routeOf(row, 4)),
    ...rules.flatMap((row) => ruleOf(row, 4)),
    ...meshAddresses6(addresses6, local6),
    ...routes6.map((row) => routeOf(row, 6)),
    ...rules6.flatMap((row) => ruleOf(row, 6)),
  ];
}

/** Addresses of IPv6 have no labels: those of the mesh's prefix are ours. */
function meshAddresses6(rows: readonly AddressRow[], local: readonly RouteRow[]): KernelObject[] {
  const prefix = MESH_PREFIX6.replace(/::\/96$/, ':');
  const ofLink = (link: string): string[] =>
    rows
      .filter(({ ifname }) => ifname === link)
      .flatMap(({ addr_info }) => addr_info.map((one) => one.local))
      .filter((address) => address.startsWith(prefix));
  const ingress = ofLink(INGRESS_LINK);
  const good =
    ingress.length === 1 && local.some(({ dst, dev }) => dst === '::1' && dev === INGRESS_LINK);
  return [
    ...ofLink('lo').map(loopbackAddress6Object),
    ...ingress.slice(0, 1).map((one) => orBroken(ingressAddress6Object(one), good)),
  ];
}

async function observeIngress(
  row: LinkRow,
  addresses: readonly AddressRow[],
): Promise<KernelObject[]> {
  const device = ['dev', INGRESS_LINK];
  const [forwarding, neighbours] = await Promise.all([
    listJson<ForwardingRow>('bridge', ['fdb', 'show', ...device]),
    listJson<NeighbourRow>('ip', ['neigh', 'show', ...device, 'nud', 'permanent']),
  ]);
  const own = addresses.find(({ ifname }) => ifname === INGRESS_LINK)?.addr_info ?? [];
  const address = own[0]?.local ?? '0.0.0.0';
  const good =
    row.flags.includes('UP') &&
    own.length === 1 &&
    row.address === macOf(address) &&
    (await readSetting('rp_filter')) === '2' &&
    (await readSetting('route_localnet')) === '1';
  const vni = row.linkinfo?.info_data?.id ?? 0;
  const { mtu, address: mac } = row;
  return [
    orBroken(ingressLinkObject({ vni, mtu, mac, address, ...tunnelOf(row) }), good),
    ...forwarding.flatMap(({ mac, dst }) =>
      dst === undefined ? [] : [ingressForwardingObject(mac, dst)],
    ),
    ...neighbours.map(({ dst, lladdr }) => ingressNeighbourObject(dst, lladdr)),
  ];
}

/** A daemon that is killed between making the device and setting it up leaves defaults behind. */
async function readSetting(name: string): Promise<string> {
  return (await readFile(`/proc/sys/net/ipv4/conf/${INGRESS_LINK}/${name}`, 'utf8')).trim();
}

function routeOf(row: RouteRow, family: 4 | 6): KernelObject {
  const { gateway, prefsrc } = row;
  // In IPv6 what is unreachable is so by the loopback device.
  const dev = row.type === 'unreachable' ? undefined : row.dev;
  const target = [
    gateway === undefined ? '' : `via ${gateway}`,
    dev === undefined ? '' : `dev ${dev}`,
    row.flags.includes('onlink') ? 'onlink' : '',
    prefsrc === undefined ? '' : `src ${prefsrc}`,
  ];
  const dst = family === 6 && row.dst === 'default' ? '::/0' : row.dst;
  return routeObject({
    table: row.table ?? 'main',
    destination: dst === 'default' || dst.includes('/') ? dst : hostPrefix(dst),
    target: target.filter((part) => part !== '').join(' '),
    ...(row.type === 'unreachable' ? { type: 'unreachable' } : {}),
    ...(row.metric === BARRIER_METRIC ? { metric: BARRIER_METRIC } : {}),
    ...(dev === INGRESS_LINK ? { on: 'ingress' } : {}),
    protocol: ROUTE_PROTOCOL,
  });
}

function ruleOf(row: RuleRow, family: 4 | 6): KernelObject[] {
  const mark = `fwmark ${row.fwmark}`;
  switch (row.priority) {
    case RULE_END:
      return [ruleObject(`pref ${RULE_END} nop`, ROUTE_PROTOCOL, family)];
    case RULE_SKIP: {
      const skip = `pref ${RULE_SKIP} not ${mark}/0xff000000 goto ${RULE_END}`;
      return [ruleObject(skip, ROUTE_PROTOCOL, family)];
    }
    case RULE_NODE: {
      const back = `pref ${RULE_NODE} ${mark}/0xffffffff lookup ${row.table}`;
      return [ruleObject(back, ROUTE_PROTOCOL, family)];
    }
    default:
      return [];
  }
}

/** "vx4097" after "vx" is 4097; undefined when the rest is no number. */
function numberAfter(prefix: string, name: string | undefined): number | undefined {
  if (name === undefined || !name.startsWith(prefix)) return undefined;
  const value = Number(name.slice(prefix.length));
  return Number.isInteger(value) && value > 0 ? value : undefined;
}
