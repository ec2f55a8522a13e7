/**
 * Which netlink objects a host should have: the overlays it takes part in with their remote
 * endpoints, and the VXLAN between the hosts with a return path to every one of them.
 */
import {
  encryptedVxlanPort,
  isEncrypted,
  tunnelAddress,
  tunnelsByIpv6,
  type Network,
  type NetworkEndpoint,
  type NetworkPeer,
  type NetworkSpec,
  type NetworkState,
} from '@swarmd/model';

import {
  ESP_ALIGNMENT_BYTES,
  ESP_OVERHEAD_BYTES,
  VXLAN6_OVERHEAD_BYTES,
  VXLAN_OVERHEAD_BYTES,
} from '../limits.ts';
import { bridgeMac, firstHost, macOf } from './addresses.ts';
import { encryptionObjects, type Sealing } from './encryption.ts';
import { hostPrefix, meshAddress, meshSubnet } from './family.ts';
import { ipv6Of } from './ipv6.ts';
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
} from './kernel-object.ts';
import {
  BARRIER_METRIC,
  INGRESS_LINK,
  INGRESS_VNI,
  nodeMark,
  nodeTable,
  ROUTE_PROTOCOL,
  RULE_END,
  RULE_NODE,
  RULE_SKIP,
} from './names.ts';
import type { NftFamily } from './nft-program.ts';

export interface ObjectsInput {
  readonly state: NetworkState;
  readonly underlay: Underlay;
  /** Whether this host's part of the mesh has both families. */
  readonly ipv6: boolean;
  /** Networks that left the state while containers here are still attached to them. */
  readonly lingering: readonly OverlayLink[];
  /** Undefined: this node has no encrypted network, or cannot take part in one. */
  readonly sealing?: Sealing | undefined;
}

/** What carries packets between hosts. */
export interface Underlay {
  readonly address: string;
  readonly mtu: number;
}

/** What a network's devices are made from. */
export interface OverlayLink {
  readonly vni: number;
  readonly mtu: number;
  /** Of what kind; notes of earlier versions lack it: an overlay. */
  readonly driver?: NetworkSpec['driver'];
  readonly encrypted?: true;
}

export function desiredObjects(input: ObjectsInput): KernelObjects {
  const { state, underlay, lingering, ipv6, sealing } = input;
  // As with networks: no way out for what this node cannot encrypt.
  const hasMesh = state.encryptsMesh !== true || sealing !== undefined;
  const objects = [
    ...(sealing === undefined ? [] : encryptionObjects(state, sealing)),
    ...(hasMesh ? ingressObjects(state, underlay) : []),
    ...meshObjects(state, 'ip', hasMesh),
    ...(ipv6
      ? [
          ...(hasMesh
            ? [ingressAddress6Object(meshAddress('ip6', state.self.ingressAddress))]
            : []),
          ...meshObjects(state, 'ip6', hasMesh),
        ]
      : []),
    ...[...state.networks.map((network) => overlayLink(network, underlay)), ...lingering].flatMap(
      ({ vni, mtu, driver = 'overlay', encrypted = false }) => {
        if (driver !== 'overlay' && driver !== 'bridge') return [];
        const bridge = bridgeObject(vni, bridgeMac(vni));
        if (driver === 'bridge') return [bridge];
        // Nothing can leave a node in clear that has no way out for it.
        if (encrypted && sealing === undefined) return [bridge];
        const { self, vxlanPort } = state;
        const port = encrypted ? encryptedVxlanPort(vxlanPort) : vxlanPort;
        return [bridge, vxlanObject({ vni, mtu, local: tunnelAddress(self), port })];
      },
    ),
    ...endpointObjects(state, sealing !== undefined),
  ];
  return new Map(objects.map((object) => [object.key, object]));
}

export function overlayLink(network: Network, underlay: Underlay): OverlayLink {
  const { driver } = network.spec;
  const encrypted = isEncrypted(network.spec);
  const mtu = network.spec.mtu === 0 ? largestMtu(driver, encrypted, underlay) : network.spec.mtu;
  return { vni: network.vni, mtu, driver, ...(encrypted ? { encrypted } : {}) };
}

/** What of an encrypted overlay fills whole packets needs no padding. */
function largestMtu(
  driver: NetworkSpec['driver'],
  encrypted: boolean,
  { address, mtu }: Underlay,
): number {
  if (driver !== 'overlay') return mtu;
  const inside = mtu - (address.includes(':') ? VXLAN6_OVERHEAD_BYTES : VXLAN_OVERHEAD_BYTES);
  if (!encrypted) return inside;
  const sealed = inside - ESP_OVERHEAD_BYTES;
  return sealed - (sealed % ESP_ALIGNMENT_BYTES);
}

/** Where a node's VXLAN is; '' when there is no way: ours sends by the one family or the other. */
export function wayTo(peer: NetworkPeer, self: NetworkPeer): string {
  return tunnelsByIpv6(peer) === tunnelsByIpv6(self) ? tunnelAddress(peer) : '';
}

/** Entries for endpoints elsewhere; local ones are learned by the bridge from their ports. */
function endpointObjects(state: NetworkState, canSeal: boolean): KernelObject[] {
  const ways = new Map(state.peers.map((peer) => [peer.nodeId, wayTo(peer, state.self)]));
  const overlays = state.networks.filter(
    ({ spec }) => spec.driver === 'overlay' && (canSeal || !isEncrypted(spec)),
  );
  const networks = new Map(overlays.map((network) => [network.id, network]));
  const objects: KernelObject[] = [];
  for (const endpoint of state.endpoints) {
    const network = networks.get(endpoint.networkId);
    const vtep = ways.get(endpoint.nodeId) ?? '';
    if (network === undefined || vtep === '' || endpoint.nodeId === state.self.nodeId) continue;
    objects.push(...entriesOf(endpoint, { vni: network.vni, subnet6: network.subnet6, vtep }));
  }
  return objects;
}

interface EndpointWay {
  readonly vni: number;
  readonly subnet6: string;
  readonly vtep: string;
}

/**
 * States are made from the ones before, so most endpoints of one are those of the last: their objects
 * are, too, and need not be compared.
 */
const knownEntries = new WeakMap<
  NetworkEndpoint,
  EndpointWay & { readonly objects: readonly KernelObject[] }
>();

function entriesOf(endpoint: NetworkEndpoint, way: EndpointWay): readonly KernelObject[] {
  const { vni, subnet6, vtep } = way;
  const known = knownEntries.get(endpoint);
  if (known?.vni === vni && known.subnet6 === subnet6 && known.vtep === vtep) return known.objects;
  const mac = macOf(endpoint.address);
  const objects = [
    overlayForwardingObject(vni, mac, vtep),
    overlayNeighbourObject(vni, endpoint.address, mac),
    ...(subnet6 === ''
      ? []
      : [overlayNeighbourObject(vni, ipv6Of(subnet6, endpoint.address), mac)]),
  ];
  knownEntries.set(endpoint, { ...way, objects });
  return objects;
}

/** What this host has of the mesh in one family. */
function meshObjects(
  { self, peers, encryptsMesh = false }: NetworkState,
  family: NftFamily,
  hasMesh: boolean,
): KernelObject[] {
  const protocol = ROUTE_PROTOCOL;
  const gateway = meshAddress(family, firstHost(self.gatewaySubnet));
  const number = family === 'ip' ? 4 : 6;
  return [
    family === 'ip' ? loopbackAddressObject(gateway) : loopbackAddress6Object(gateway),
    // Packets for containers that are gone must not leave by the default route.
    routeObject({
      table: 'main',
      destination: meshSubnet(family, self.gatewaySubnet),
      target: '',
      type: 'unreachable',
      protocol,
    }),
    // Packets without one of our marks skip the list of nodes.
    ruleObject(`pref ${RULE_END} nop`, protocol, number),
    ruleObject(
      `pref ${RULE_SKIP} not fwmark 0x5a000000/0xff000000 goto ${RULE_END}`,
      protocol,
      number,
    ),
    ...(encryptsMesh ? peers.flatMap((peer) => noOtherWay(peer, family)) : []),
    ...peers
      .filter((peer) => hasMesh && wayTo(peer, self) !== '')
      .flatMap((peer) => wayToPeer(self, peer, family)),
  ];
}

/** What is for another node must not go by the default route, in clear, while there is no way to that node. */
function noOtherWay(peer: NetworkPeer, family: NftFamily): KernelObject[] {
  const barrier = {
    target: '',
    type: 'unreachable',
    metric: BARRIER_METRIC,
    protocol: ROUTE_PROTOCOL,
  } as const;
  const destination = meshSubnet(family, peer.gatewaySubnet);
  const table = String(nodeTable(peer.index));
  return [
    routeObject({ ...barrier, table: 'main', destination }),
    routeObject({ ...barrier, table, destination: family === 'ip' ? 'default' : '::/0' }),
  ];
}

/** The VXLAN between the hosts, over which both families go. */
function ingressObjects(
  { self, peers, vxlanPort, encryptsMesh = false }: NetworkState,
  underlay: Underlay,
): KernelObject[] {
  return [
    ingressLinkObject({
      vni: INGRESS_VNI,
      mtu: largestMtu('overlay', encryptsMesh, underlay),
      local: tunnelAddress(self),
      port: encryptsMesh ? encryptedVxlanPort(vxlanPort) : vxlanPort,
      mac: macOf(self.ingressAddress),
      address: self.ingressAddress,
    }),
    ...peers
      .map((peer) => ({ ...peer, vtep: wayTo(peer, self) }))
      .filter(({ vtep }) => vtep !== '')
      .map(({ ingressAddress, vtep }) => ingressForwardingObject(macOf(ingressAddress), vtep)),
  ];
}

/** The way to a node's containers, and by its mark the way back to clients that came through it. */
function wayToPeer(self: NetworkPeer, peer: NetworkPeer, family: NftFamily): KernelObject[] {
  const route = { on: 'ingress', protocol: ROUTE_PROTOCOL };
  const address = meshAddress(family, peer.ingressAddress);
  const via = `via ${address} dev ${INGRESS_LINK} onlink`;
  const source = `src ${meshAddress(family, self.ingressAddress)}`;
  const mark = `${nodeMark(peer.index)}/0xffffffff`;
  return [
    ingressNeighbourObject(address, macOf(peer.ingressAddress)),
    routeObject({
      ...route,
      table: 'main',
      destination: hostPrefix(address),
      target: `dev ${INGRESS_LINK} ${source}`,
    }),
    routeObject({
      ...route,
      table: 'main',
      destination: meshSubnet(family, peer.gatewaySubnet),
      target: `${via} ${source}`,
    }),
    routeObject({
      ...route,
      table: String(nodeTable(peer.index)),
      destination: family === 'ip' ? 'default' : '::/0',
      target: via,
    }),
    ruleObject(
      `pref ${RULE_NODE} fwmark ${mark} lookup ${nodeTable(peer.index)}`,
      ROUTE_PROTOCOL,
      family === 'ip' ? 4 : 6,
    ),
  ];
}
