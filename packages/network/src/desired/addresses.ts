/** IPv4 arithmetic and the hardware addresses that follow from it. */
import { assert } from '@swarmd/base';

/** "10.0.0.1" -> 0x0a000001. */
function toNumber(address: string): number {
  const parts = address.split('.').map(Number);
  assert(
    parts.length === 4 && parts.every((part) => Number.isInteger(part) && part >= 0 && part < 256),
    `"${address}" is an IPv4 address`,
  );
  return parts.reduce((sum, part) => sum * 256 + part, 0);
}

function toText(value: number): string {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.');
}

/** The first host address of a network, e.g. "100.64.3.1" of "100.64.3.0/24". */
export function firstHost(subnet: string): string {
  return toText(toNumber(subnet.split('/')[0] ?? '') + 1);
}

/** The part before the prefix length. */
export function bareAddress(address: string): string {
  return address.split('/')[0] ?? address;
}

/**
 * Docker's scheme: the MAC of an address is 02:42 and the address. An address that is used again
 * then never meets a stale ARP entry.
 */
export function macOf(address: string): string {
  return colons(`0242${toNumber(address).toString(16).padStart(8, '0')}`);
}

/**
 * MAC of a network's bridge. It must be set: a bridge that takes over the lowest MAC of its ports
 * changes it when a port joins, and the kernel then forgets every neighbour, permanent ones too.
 */
export function bridgeMac(vni: number): string {
  return colons(`0242ff${vni.toString(16).padStart(6, '0')}`);
}

function colons(hex: string): string {
  return (hex.match(/../g) ?? []).join(':');
}

/** "10.0.1.5" is in "10.0.1.0/24". */
export function isInSubnet(address: string, subnet: string): boolean {
  const [base = '', length = '32'] = subnet.split('/');
  const size = 2 ** (32 - Number(length));
  const offset = toNumber(address) - toNumber(base);
  return offset >= 0 && offset < size;
}

/** "10.0.1.5" is on the network of "10.0.1.9/24". */
export function isOnNetworkOf(address: string, neighbour: string): boolean {
  const [other = '', length = '32'] = neighbour.split('/');
  const size = 2 ** (32 - Number(length));
  return Math.floor(toNumber(address) / size) === Math.floor(toNumber(other) / size);
}

/** The last 16 bits of an address: a number that no other on its node has. */
export function lastBits(address: string): number {
  return toNumber(address) % 65_536;
}
