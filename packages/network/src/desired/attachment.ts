/** A container's namespace: what is in it, and the steps that make and remove it. */
import type { Network, NetworkId, NetworkSpec, Task, TaskId } from '@swarmd/model';

import { bareAddress, firstHost, isInSubnet, lastBits, macOf } from './addresses.ts';
import {
  bridgeIndex,
  CONTAINER_GATEWAY_LINK,
  gatewayLink,
  GATEWAY_MAC,
  OVERLAY_NETNS,
  overlayLink as overlayLinkName,
  taskNetns,
} from './names.ts';
import { hostPrefix, meshAddress } from './family.ts';
import { ipv6Of } from './ipv6.ts';
import { localhostRoute } from './kernel-object.ts';
import { loadProgram, type NftProgram } from './nft-program.ts';
import { overlayLink, type OverlayLink, type Underlay } from './objects.ts';
import { upstreamsOf } from './resolver.ts';
import type { StateIndex } from './state-index.ts';
import type { BatchStep, Step } from './step.ts';

/** What must be remembered about an attached container for as long as its namespace lives. */
export interface AttachmentNote {
  readonly taskId: TaskId;
  /** "web.1", for people; notes of earlier versions lack it. */
  readonly name?: string;
  readonly gatewayAddress: string;
  /** Of a container with IPv6, where its host's part of the mesh has that; without prefix length. */
  readonly gatewayAddress6?: string;
  /** In the order of eth0, eth1, ... */
  readonly networks: readonly AttachedNetwork[];
  /** Nothing but a loopback interface. */
  readonly isolated?: true;
  /** Its own name servers; those of the host unless given. */
  readonly upstreams?: readonly string[];
}

/** How a container reaches the subnets of its networks that its own addresses are not in. */
export function subnetRoutes(note: AttachmentNote, index: StateIndex): string[] {
  return note.networks.flatMap(({ networkId, address }, i) => {
    const network = index.networks.get(networkId);
    if (network === undefined || network.spec.moreSubnets.length === 0) return [];
    return [network.subnet, ...network.spec.moreSubnets]
      .filter((subnet) => !isInSubnet(bareAddress(address), subnet))
      .map((subnet) => `route replace ${subnet} dev eth${i} src ${bareAddress(address)}`);
  });
}

interface AttachedNetwork extends OverlayLink {
  readonly networkId: NetworkId;
  /** With prefix length. */
  readonly address: string;
  readonly internal: boolean;
  /** With prefix length; notes of earlier versions lack it. */
  readonly address6?: string;
  readonly macvlan?: Macvlan;
}

interface Macvlan {
  /** Interface of the host. */
  readonly parent: string;
  readonly mode: string;
  /** Where the default route leads; empty: by the host, as with other networks. */
  readonly gateway: string;
}

/** Undefined while the state lacks one of the task's networks. */
export function attachmentOf(
  task: Task & { readonly gatewayAddress: string },
  index: StateIndex,
  { underlay, ipv6 }: { readonly underlay: Underlay; readonly ipv6: boolean },
): AttachmentNote | undefined {
  const networks: AttachedNetwork[] = [];
  const name = `${task.serviceName}.${task.slot}`;
  const base = { taskId: task.id, name, gatewayAddress: task.gatewayAddress };
  for (const { networkId, address } of task.networks) {
    const network = index.networks.get(networkId);
    if (network === undefined) return undefined;
    const { internal, driver } = network.spec;
    if (driver === 'none') return { ...base, networks: [], isolated: true };
    const macvlan = driver === 'macvlan' ? { macvlan: macvlanOf(network.spec) } : {};
    networks.push({
      networkId,
      address,
      internal,
      ...overlayLink(network, underlay),
      ...macvlan,
      ...address6Of(network, address),
    });
  }
  const hasIpv6 = ipv6 && networks.some(({ address6 }) => address6 !== undefined);
  const gatewayAddress6 = meshAddress('ip6', task.gatewayAddress);
  const upstreams = upstreamsOf(task);
  return {
    ...base,
    ...(hasIpv6 ? { gatewayAddress6 } : {}),
    ...(upstreams === undefined ? {} : { upstreams }),
    networks,
  };
}

function address6Of({ subnet6 }: Network, address: string): { address6?: string } {
  if (subnet6 === '') return {};
  return { address6: `${ipv6Of(subnet6, bareAddress(address))}/96` };
}

/** True when the task is to use the host's own interfaces. */
export function usesHost(task: Task, index: StateIndex): boolean {
  return task.networks.some(
    ({ networkId }) => index.networks.get(networkId)?.spec.driver === 'host',
  );
}

function macvlanOf({ options, gateway }: NetworkSpec): Macvlan {
  return { parent: options['parent'] ?? '', mode: options['macvlan_mode'] ?? 'bridge', gateway };
}

/** True when no network of the container has a way out: it gets DNS and published ports only. */
export function isInternal(note: AttachmentNote): boolean {
  return note.isolated === true || hasOnlyInternal(note);
}

function hasOnlyInternal(note: AttachmentNote): boolean {
  return note.networks.length > 0 && note.networks.every((network) => network.internal);
}

/** Addresses in the container, overlay networks first. */
export function addressesOf(note: AttachmentNote): string[] {
  if (note.isolated === true) return [];
  const own = note.networks.flatMap(({ address, address6 }) =>
    address6 === undefined ? [address] : [address, address6],
  );
  const { gatewayAddress, gatewayAddress6 } = note;
  const ways = gatewayAddress6 === undefined ? [gatewayAddress] : [gatewayAddress, gatewayAddress6];
  return [...own, ...ways.map(hostPrefix)];
}

/**
 * Starting programs is what an attach costs: one for all links, wherever they belong, and one entrance to
 * the namespace. Overlay networks are ports of their bridges; the way out is a wire of its own to the host, with
 * host routes at both ends, so that containers cannot reach each other through it.
 */
export function attachSteps(
  note: AttachmentNote,
  gatewaySubnet: string,
  programs: readonly NftProgram[],
): Step[] {
  const netns = taskNetns(note.taskId);
  const outer = gatewayLink(note.taskId);
  const gateway = firstHost(gatewaySubnet);
  const ways = waysOut(note, gateway);
  const mac = macOf(note.gatewayAddress);
  if (note.isolated === true) {
    return [
      { kind: 'add-netns', name: netns },
      { kind: 'ip', netns, lines: ['link set lo up'] },
      { kind: 'sysctl', netns, lines: USERS_SETTINGS },
    ];
  }
  const links: BatchStep = {
    kind: 'ip',
    lines: [
      `netns add ${netns}`,
      ...note.networks.flatMap((network, i) => overlayPort(note.taskId, network, i)),
      `link add ${outer} address ${GATEWAY_MAC} type veth peer name ${CONTAINER_GATEWAY_LINK} address ${mac} netns ${netns}`,
      `link set ${outer} addrgenmode none up`,
      ...ways.flatMap((way) => [
        `neigh replace ${way.address} lladdr ${mac} dev ${outer} nud permanent`,
        `route replace ${hostPrefix(way.address)} dev ${outer} src ${way.gateway}`,
      ]),
      ...(note.gatewayAddress6 === undefined
        ? []
        : [`route replace ${localhostRoute(outer, lastBits(note.gatewayAddress))}`]),
      ...note.networks.flatMap((network, i) => macvlanLink(netns, network, i)),
    ],
  };
  const rules: BatchStep = { kind: 'nft', text: programs.map(loadProgram).join('') };
  return [
    links,
    {
      kind: 'sysctl',
      lines: [
        `net/ipv4/conf/${outer}/rp_filter=1`,
        `net/ipv4/conf/${outer}/route_localnet=1`,
        // No container may tell the host where to route (CVE-2020-13401).
        `net/ipv6/conf/${outer}/accept_ra?=0`,
      ],
    },
    { kind: 'sysctl', netns, lines: insideSettings(note) },
    {
      kind: 'together',
      netns,
      steps: [rules, { kind: 'ip', lines: insideLines(note, ways) }],
    },
  ];
}

/**
 * As Docker: whoever runs in a container may take ports below 1024 of it, and ask for echoes. A remapped root needs
 * this, too: its capabilities are none over a namespace that the machine has made.
 */
const USERS_SETTINGS = [
  'net/ipv4/ip_unprivileged_port_start=0',
  'net/ipv4/ping_group_range=0 2147483647',
];

/** Before the links are up; nor may one container tell another. */
function insideSettings({ networks }: AttachmentNote): string[] {
  const links = [...networks.map((_, i) => `eth${i}`), CONTAINER_GATEWAY_LINK];
  return [
    ...USERS_SETTINGS,
    `net/ipv4/conf/${CONTAINER_GATEWAY_LINK}/route_localnet=1`,
    ...links.map((link) => `net/ipv6/conf/${link}/accept_ra?=0`),
  ];
}

/** A container's own address on its way out, and the host's at the other end, in each family. */
interface WayOut {
  readonly address: string;
  readonly gateway: string;
}

function waysOut({ gatewayAddress, gatewayAddress6 }: AttachmentNote, gateway: string): WayOut[] {
  const way = { address: gatewayAddress, gateway };
  if (gatewayAddress6 === undefined) return [way];
  return [way, { address: gatewayAddress6, gateway: meshAddress('ip6', gateway) }];
}

function overlayPort(taskId: TaskId, network: AttachedNetwork, i: number): string[] {
  if (network.macvlan !== undefined) return [];
  const name = overlayLinkName(taskId, network.networkId);
  const { mtu, vni } = network;
  const mac = macOf(bareAddress(network.address));
  const port = `mtu ${mtu} master if${bridgeIndex(vni)} up netns ${OVERLAY_NETNS}`;
  return [
    `link add ${name} ${port} type veth peer name eth${i} mtu ${mtu} address ${mac} netns ${taskNetns(taskId)}`,
  ];
}

/** Made in the host's namespace, where its parent is. */
function macvlanLink(netns: string, { macvlan, address }: AttachedNetwork, i: number): string[] {
  if (macvlan === undefined) return [];
  const mac = macOf(bareAddress(address));
  const { parent, mode } = macvlan;
  return [
    `link add link ${parent} name eth${i} netns ${netns} address ${mac} type macvlan mode ${mode}`,
  ];
}

function insideLines(note: AttachmentNote, ways: readonly WayOut[]): string[] {
  const link = CONTAINER_GATEWAY_LINK;
  return [
    'link set lo up',
    ...note.networks.flatMap(({ address, address6 }, i) => [
      `addr add ${address} dev eth${i}`,
      // Nobody else has it: no need to ask around first.
      ...(address6 === undefined ? [] : [`addr add ${address6} dev eth${i} nodad`]),
      `link set eth${i} up`,
    ]),
    // All that is to be known of the other end is written down: no address of its own choice.
    `link set ${link} addrgenmode none`,
    ...ways.map(({ address }) => `addr add ${hostPrefix(address)} dev ${link}${nodad(address)}`),
    `link set ${link} up`,
    ...ways.flatMap(({ address, gateway }) => [
      `neigh replace ${gateway} lladdr ${GATEWAY_MAC} dev ${link} nud permanent`,
      `route add ${hostPrefix(gateway)} dev ${link} src ${address}`,
    ]),
    ...defaultRoutes(note, ways),
  ];
}

function nodad(address: string): string {
  return address.includes(':') ? ' nodad' : '';
}

/** By the host, unless a network has a gateway of its own. */
function defaultRoutes(note: AttachmentNote, ways: readonly WayOut[]): string[] {
  const at = note.networks.findIndex(({ macvlan }) => (macvlan?.gateway ?? '') !== '');
  const router = note.networks[at]?.macvlan?.gateway;
  if (router !== undefined) return [`route add default via ${router} dev eth${at}`];
  return ways.map(
    ({ address, gateway }) =>
      `route add default via ${gateway} dev ${CONTAINER_GATEWAY_LINK} src ${address}`,
  );
}

/**
 * A container's links at the host's side. They mostly go with the namespace, but that lives on without
 * its name for as long as a socket of it waits for a peer that does not answer, and with it would
 * the container's addresses and routes.
 */
export function linkRemovalSteps(note: AttachmentNote): Step[] {
  if (note.isolated === true) return [];
  const onBridges = note.networks.filter(({ macvlan }) => macvlan === undefined);
  const overlays = onBridges.map(({ networkId }) => overlayLinkName(note.taskId, networkId));
  const ofHost: Step = { kind: 'delete-links', names: [gatewayLink(note.taskId)] };
  if (overlays.length === 0) return [ofHost];
  return [ofHost, { kind: 'delete-links', netns: OVERLAY_NETNS, names: overlays }];
}
