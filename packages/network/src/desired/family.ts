/**
 * The mesh in both families: what hosts and ways out have as IPv4 addresses, they have in IPv6 as the
 * last 32 bits of one /96 (ADR 0022).
 */
import { ipv4In, ipv6Of } from './ipv6.ts';
import type { NftFamily } from './nft-program.ts';

/** Local to the hosts' own VXLAN, whose VNI it has (4096), as overlays' prefixes have theirs. */
export const MESH_PREFIX6 = 'fd53:7764:0:1000::/96';
const PREFIX_BITS = 96;

/** What a host calls itself. */
export const MESH_LOCALHOST: Readonly<Record<NftFamily, string>> = {
  ip: '127.0.0.0/8',
  ip6: '::1',
};

/** @param address IPv4 address of a host on the ingress network, or of a way out. */
export function meshAddress(family: NftFamily, address: string): string {
  return family === 'ip' ? address : ipv6Of(MESH_PREFIX6, address);
}

/** The IPv4 address that `address` of the mesh is, or stands for; undefined for others of IPv6. */
export function meshAddressIn4(address: string): string | undefined {
  return address.includes(':') ? ipv4In(MESH_PREFIX6, address) : address;
}

/** @param subnet e.g. "100.64.2.0/23". */
export function meshSubnet(family: NftFamily, subnet: string): string {
  if (family === 'ip') return subnet;
  const [base = '', length = '32'] = subnet.split('/');
  return `${meshAddress(family, base)}/${PREFIX_BITS + Number(length)}`;
}

/** "10.0.0.1" and "fd00::1", each with the length that names a single address. */
export function hostPrefix(address: string): string {
  return `${address}/${address.includes(':') ? 128 : 32}`;
}
