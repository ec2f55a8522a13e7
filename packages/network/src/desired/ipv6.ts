/**
 * IPv6 addresses of networks with both families: the IPv4 address in the last 32 bits of the
 * network's /96 (ADR 0022). Written as the kernel writes them (RFC 5952).
 */

/** @param prefix e.g. "fd53:7764:0:1001::/96". */
export function ipv6Of(prefix: string, ipv4: string): string {
  const [a = 0, b = 0, c = 0, d = 0] = ipv4.split('.').map(Number);
  return text([...groupsOf(prefix).slice(0, 6), a * 256 + b, c * 256 + d]);
}

/**
 * The IPv4 address in an IPv6 address of the network, which is given as the name of its PTR record;
 * undefined for other names.
 */
export function ipv4OfReverse(prefix: string, name: string): string | undefined {
  const nibbles = /^((?:[0-9a-f]\.){32})ip6\.arpa$/.exec(name)?.[1];
  if (nibbles === undefined) return undefined;
  const digits = nibbles.split('.').toReversed().join('');
  return ipv4In(prefix, (digits.match(/.{4}/g) ?? []).join(':'));
}

/** The IPv4 address in an IPv6 address of the network; undefined for those of others. */
export function ipv4In(prefix: string, address: string): string | undefined {
  const groups = groupsOf(address);
  const isInside = groupsOf(prefix)
    .slice(0, 6)
    .every((group, at) => groups[at] === group);
  if (!isInside) return undefined;
  return groups
    .slice(6)
    .flatMap((group) => [group >> 8, group & 255])
    .join('.');
}

/** The eight groups of an address or of a prefix like "fd53:7764:0:1001::/96". */
export function groupsOf(prefix: string): number[] {
  const [address = ''] = prefix.split('/');
  const [front = '', back = ''] = address.split('::');
  const parse = (part: string): number[] =>
    part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16));
  const [before, after] = [parse(front), parse(back)];
  const gap = Array.from({ length: 8 - before.length - after.length }, () => 0);
  return [...before, ...gap, ...after];
}

/** The longest row of two or more zero groups becomes "::". */
function text(groups: readonly number[]): string {
  const hex = groups.map((group) => group.toString(16));
  let [start, length] = [0, 1];
  for (let at = 0; at < hex.length; at += 1) {
    let run = 0;
    while (hex[at + run] === '0') run += 1;
    if (run > length) [start, length] = [at, run];
  }
  if (length < 2) return hex.join(':');
  return `${hex.slice(0, start).join(':')}::${hex.slice(start + length).join(':')}`;
}
