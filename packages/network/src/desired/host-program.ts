/**
 * The host's nft table: the routing mesh that keeps clients' addresses, host-mode ports, egress, and
 * what containers may not do. A packet of client C for port 8080 of node A, task on node B:
 *
 *   A  DNAT to the task's gateway address on B, source untouched, through the ingress VXLAN.
 *   B  knows by the source MAC that A sent it: conntrack zone A (one client port may come through
 *      two nodes at once) and connection mark A.
 *   B  the answer leaves the container by its only default route, gets the mark back, and a rule
 *      for that mark sends it through A, which undoes the DNAT.
 */
import {
  addressesOfBlocks,
  tunnelAddress,
  type NetworkPeer,
  type PublishedPort,
} from '@swarmd/model';

import { firstHost, macOf } from './addresses.ts';
import { MESH_LOCALHOST, meshAddress, meshSubnet } from './family.ts';
import { nodeMark } from './names.ts';
import type { NftFamily, NftProgram } from './nft-program.ts';
import { portParts, SNAT_MARK } from './published-ports.ts';

export interface HostProgramInput {
  readonly self: NetworkPeer;
  readonly peers: readonly NetworkPeer[];
  /** Underlay addresses of all nodes, as `addressBlocks` writes them. */
  readonly nodes: readonly string[];
  readonly vxlanPort: number;
  /** Of encrypted networks; undefined on a node that cannot encrypt, and has none. */
  readonly sealedPort?: number | undefined;
  readonly ports: readonly PublishedPort[];
  /** Gateway addresses of local containers whose networks are all internal. */
  readonly internal: readonly string[];
  readonly controlPorts: readonly number[];
  /** Whether this host's part of the mesh has both families. */
  readonly ipv6: boolean;
}

/** A table of IPv4 and, where it is used, one of IPv6: the same rules with the other addresses. */
export function hostPrograms(input: HostProgramInput): NftProgram[] {
  return hostFamilies(input.ipv6).map((family) => hostProgram(input, family));
}

export function hostFamilies(ipv6: boolean): readonly NftFamily[] {
  return ipv6 ? ['ip', 'ip6'] : ['ip'];
}

function hostProgram(input: HostProgramInput, family: NftFamily): NftProgram {
  const peers = input.peers.filter((peer) => peer.address !== '');
  const byMac = (value: (peer: NetworkPeer) => string): Map<string, string> =>
    new Map(peers.map((peer) => [macOf(peer.ingressAddress), value(peer)]));
  const ports = portParts(input.ports, input.self.gatewaySubnet, family);
  const hairpins = peers.flatMap((peer) =>
    addressesOfPeer(peer, family).map(
      (one) => `${one} . ${meshSubnet(family, peer.gatewaySubnet)}`,
    ),
  );
  return {
    family,
    fixed: fixedPart(input, family),
    chains: new Map(ports.chains),
    sets: new Map(ports.sets),
    elements: new Map([
      ...ports.elements,
      ['node_mark', byMac((peer) => nodeMark(peer.index))],
      ['node_zone', byMac((peer) => String(peer.index))],
      ['node_hairpin', new Map(hairpins.map((pair) => [pair, '']))],
      ['nodes', new Map(addressesOf(input, family).map((address) => [address, '']))],
      ['internal', new Map(input.internal.map((address) => [meshAddress(family, address), '']))],
    ]),
  };
}

function addressesOfPeer(peer: NetworkPeer, family: NftFamily): readonly string[] {
  return family === 'ip' ? [peer.address] : peer.addresses6;
}

/** Peers are nodes also where the list of nodes has not come yet. */
function addressesOf({ self, peers, nodes }: HostProgramInput, family: NftFamily): string[] {
  const known = [self, ...peers].flatMap((peer) => [
    ...addressesOfPeer(peer, family),
    tunnelAddress(peer),
  ]);
  const all = new Set([...known, ...addressesOfBlocks(nodes)]);
  const isOfFamily = (address: string): boolean => address.includes(':') === (family === 'ip6');
  return [...all].filter((address) => address !== '' && isOfFamily(address));
}

/**
 * Traps, in order: VXLAN itself must not fill the connection table; a container may only send from its
 * own address; the mark must be gone before VXLAN looks up the outer packet's route, or it loops. VXLAN of
 * encrypted networks passes only if it came, or will leave, by IPsec, whatever its policies say.
 *
 * Every packet between hosts passes all of this, so what ends a rule for most of them, and costs least, stands
 * first in it: a look at the connection before a set, both before an interface's name, the routes last.
 */
function fixedPart(input: HostProgramInput, family: NftFamily): string {
  const gateway = meshAddress(family, firstHost(input.self.gatewaySubnet));
  const addr = family === 'ip' ? 'ipv4_addr' : 'ipv6_addr';
  const control = controlOf(input.controlPorts);
  const { vxlanPort, sealedPort } = input;
  const sealed = `udp dport ${sealedPort}`;
  const tunnel =
    sealedPort === undefined
      ? `udp dport ${vxlanPort}`
      : `udp dport { ${vxlanPort}, ${sealedPort} }`;
  const onlySealed = (rule: string): string => (sealedPort === undefined ? '' : `\n    ${rule}`);
  return `  map ports { type inet_proto . inet_service : verdict; }
  map bound_ports { type ${addr} . inet_proto . inet_service : verdict; }
  set unserved { type inet_proto . inet_service; }
  set bound_unserved { type ${addr} . inet_proto . inet_service; }
  map node_mark { type ether_addr : mark; }
  map node_zone { typeof ether saddr : ct zone; }
  set node_hairpin { type ${addr} . ${addr}; flags interval; }
  set nodes { type ${addr}; }
  set internal { type ${addr}; }
  chain tunnel {
    ${family} saddr != @nodes fib daddr type local drop${onlySealed(`${sealed} meta ipsec missing fib daddr type local drop`)}
    notrack
  }
  chain pre_raw {
    type filter hook prerouting priority -300; policy accept;
    iifname "swg*" fib saddr . iif oif missing drop
    ${tunnel} goto tunnel
    iifname "ing0" ct original zone set ether saddr map @node_zone
  }
  chain out_raw {
    type filter hook output priority -300; policy accept;
    ${tunnel} notrack
  }
  chain pre_mangle {
    type filter hook prerouting priority -150; policy accept;
    ct direction original ct state new iifname "ing0" ct mark set ether saddr map @node_mark
    ct direction reply ct mark & 0xff000000 == 0x5a000000 iifname "swg*" meta mark set ct mark
  }
  chain out_mangle {
    type route hook output priority -150; policy accept;
    ct direction reply ct mark & 0xff000000 == 0x5a000000 meta mark set ct mark
  }
  chain post_mangle {
    type filter hook postrouting priority -150; policy accept;
    oifname "ing0" meta mark & 0xff000000 == 0x5a000000 meta mark set 0${onlySealed(`${sealed} rt ipsec missing drop`)}
  }
${natChains(input.self, family)}
  chain forw {
    type filter hook forward priority 0; policy accept;
    iifname "ing0" tcp flags syn tcp option maxseg size set rt mtu
    oifname "ing0" tcp flags syn tcp option maxseg size set rt mtu
    ct state established,related accept
    iifname "swg*" ${family} saddr @internal drop
    iifname "swg*" ${family} daddr @nodes ${control} drop
    iifname "swg*" ${family} daddr @nodes ${tunnel} drop
    ct status dnat accept
    iifname "ing0" oifname "swg*" accept
    iifname "ing0" drop
    iifname "swg*" oifname { "swg*", "ing0" } drop
    oifname "swg*" drop
  }
${inputChains(input, { family, gateway, tunnel })}`;
}

/** What containers, and clients of the mesh, may ask of this host itself. */
function inputChains(
  { controlPorts }: HostProgramInput,
  names: { family: NftFamily; gateway: string; tunnel: string },
): string {
  const { family, gateway, tunnel } = names;
  return `  chain inp_task {
    ct state established,related accept
    ${family} daddr ${gateway} meta l4proto { udp, tcp } th dport 53 accept
    ${family} saddr @internal drop
    ${controlOf(controlPorts)} drop
    ${tunnel} drop
  }
  chain inp_mesh {
    ct state established,related accept
    drop
  }
  chain inp {
    type filter hook input priority 0; policy accept;
    ${family} daddr ${gateway} iifname != { "swg*", "lo" } drop
    iifname "swg*" goto inp_task
    iifname "ing0" goto inp_mesh
  }`;
}

function controlOf(ports: readonly number[]): string {
  return `tcp dport { ${ports.join(', ')} }`;
}

/**
 * `pre_gone`, behind the DNAT: what is for a container that is gone is answered at once, through the
 * node it came by, so that no client waits for a dead task; so is what nobody serves, even where a
 * firewall would swallow it. In `post_nat` the first three are the
 * host's own use of 127.0.0.1 and containers' use of their own host's ports; the next two are for services
 * that want it so; the sixth is a client that is the very node the task runs on, which would see its
 * own address as a martian; the last is the way out.
 */
function natChains(self: NetworkPeer, family: NftFamily): string {
  const gateway = meshAddress(family, firstHost(self.gatewaySubnet));
  const subnet = meshSubnet(family, self.gatewaySubnet);
  const ingress = meshAddress(family, self.ingressAddress);
  // The links to containers have no IPv6 address that the kernel could choose.
  const [asGateway, asIngress] =
    family === 'ip' ? ['masquerade', 'masquerade'] : [`snat to ${gateway}`, `snat to ${ingress}`];
  return `  chain pre_nat {
    type nat hook prerouting priority -100; policy accept;
    iifname != "ing0" fib daddr type local ${family} daddr . meta l4proto . th dport vmap @bound_ports
    iifname != "ing0" fib daddr type local meta l4proto . th dport vmap @ports
  }
  chain out_nat {
    type nat hook output priority -100; policy accept;
    fib daddr type local ${family} daddr . meta l4proto . th dport vmap @bound_ports
    fib daddr type local meta l4proto . th dport vmap @ports
  }
  chain gone {
    meta l4proto tcp reject with tcp reset
    reject
  }
  chain pre_gone {
    type filter hook prerouting priority -50; policy accept;
    ${family} daddr ${subnet} ${family} daddr != ${gateway} fib daddr oif missing jump gone
    ct direction original meta l4proto . th dport @unserved iifname != "ing0" fib daddr type local jump gone
    ct direction original ${family} daddr . meta l4proto . th dport @bound_unserved iifname != "ing0" fib daddr type local jump gone
  }
  chain post_nat {
    type nat hook postrouting priority 100; policy accept;
    oifname "swg*" ${family} saddr ${MESH_LOCALHOST[family]} ${asGateway}
    oifname "ing0" ${family} saddr ${MESH_LOCALHOST[family]} ${asIngress}
    iifname "swg*" oifname "swg*" ${asGateway}
    oifname "swg*" ct mark ${SNAT_MARK} ${asGateway}
    oifname "ing0" ct mark ${SNAT_MARK} ${asIngress}
    oifname "ing0" ct status dnat ${family} saddr . ${family} daddr @node_hairpin ${asIngress}
    ${family} saddr ${subnet} oifname != { "swg*", "ing0", "lo" } masquerade
  }`;
}
