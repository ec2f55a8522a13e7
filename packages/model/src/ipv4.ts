/** Arithmetic on IPv4 addresses and networks. Addresses are unsigned 32-bit numbers inside. */

export interface Ipv4Network {
  /** First address, as a number. */
  readonly base: number;
  readonly prefixLength: number;
  /** Number of addresses, network and broadcast address included. */
  readonly size: number;
}

/** @returns undefined when `text` is not four decimal numbers of 0 to 255. */
export function parseIpv4(text: string): number | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  let value = 0;
  for (const part of parts) {
    if (!/^\d{1,3}$/.test(part) || Number(part) > 255) return undefined;
    value = value * 256 + Number(part);
  }
  return value;
}

export function formatIpv4(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.');
}

/** "10.1.0.0/24". @returns undefined when malformed or when bits behind the prefix are set. */
export function parseIpv4Network(text: string): Ipv4Network | undefined {
  const [address = '', length = '', more] = text.split('/');
  const base = parseIpv4(address);
  if (base === undefined || more !== undefined || !/^\d{1,2}$/.test(length)) return undefined;
  const prefixLength = Number(length);
  if (prefixLength > 32) return undefined;
  const size = 2 ** (32 - prefixLength);
  return base % size === 0 ? { base, prefixLength, size } : undefined;
}

export function formatIpv4Network(network: Ipv4Network): string {
  return `${formatIpv4(network.base)}/${network.prefixLength}`;
}

/** The `n`th part (from 0) of `pool` with this prefix length; undefined behind its end. */
export function ipv4Part(
  pool: Ipv4Network,
  prefixLength: number,
  n: number,
): Ipv4Network | undefined {
  const size = 2 ** (32 - prefixLength);
  const base = pool.base + n * size;
  return n >= 0 && base + size <= pool.base + pool.size ? { base, prefixLength, size } : undefined;
}

export function ipv4Overlap(a: Ipv4Network, b: Ipv4Network): boolean {
  return a.base < b.base + b.size && b.base < a.base + a.size;
}

export function ipv4Contains(network: Ipv4Network, address: number): boolean {
  return address >= network.base && address < network.base + network.size;
}

/** @returns true when the first network has no address outside of the second. */
export function ipv4Within(inner: Ipv4Network, outer: Ipv4Network): boolean {
  return inner.base >= outer.base && inner.base + inner.size <= outer.base + outer.size;
}

/** Those of the networks, as text, that have no address outside of `outer`; what is no IPv4 network is none. */
export function ipv4NetworksWithin(texts: readonly string[], outer: Ipv4Network): string[] {
  return texts.filter((text) => {
    const network = parseIpv4Network(text);
    return network !== undefined && ipv4Within(network, outer);
  });
}
