/** What specs need of IPv6 networks. */

const GROUPS = 8;
const GROUP_BITS = 16;

/** @returns the eight groups of "fd12:3456::/32"; undefined unless it is such a network. */
export function parseIpv6Network(
  text: string,
): { readonly groups: readonly number[]; readonly length: number } | undefined {
  const [, address = '', length = ''] = /^([0-9a-f:]+)\/(\d{1,3})$/i.exec(text) ?? [];
  const groups = parseGroups(address);
  if (groups === undefined || Number(length) > GROUPS * GROUP_BITS) return undefined;
  // No bit behind the prefix: who gives one has another network in mind.
  const hostBits = groups
    .map((group) => group.toString(2).padStart(GROUP_BITS, '0'))
    .join('')
    .slice(Number(length));
  return hostBits.includes('1') ? undefined : { groups, length: Number(length) };
}

function parseGroups(address: string): number[] | undefined {
  const halves = address.split('::').map((half) => (half === '' ? [] : half.split(':')));
  const [front = [], back = []] = halves;
  const written = [...front, ...back];
  if (halves.length > 2 || written.some((group) => !/^[0-9a-f]{1,4}$/i.test(group))) {
    return undefined;
  }
  const missing = GROUPS - written.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const gap = Array.from({ length: missing }, () => '0');
  return [...front, ...gap, ...back].map((group) => Number.parseInt(group, 16));
}

/**
 * An address of its own right as the kernel writes it (RFC 5952): small letters, no zeros in front, "::" for
 * the longest row of zero groups. Undefined for other texts, those with an IPv4 address or a zone, too.
 */
export function canonicalIpv6(text: string): string | undefined {
  const groups = parseGroups(text);
  if (groups === undefined) return undefined;
  const plain = groups.map((group) => group.toString(16)).join(':');
  const rows = [...plain.matchAll(/(?<![^:])0(?::0)+(?![^:])/g)];
  const [longest] = rows.toSorted((a, b) => b[0].length - a[0].length);
  if (longest === undefined) return plain;
  const [front, back] = [
    plain.slice(0, longest.index),
    plain.slice(longest.index + longest[0].length),
  ];
  return `${front.replace(/:$/, '')}::${back.replace(/^:/, '')}`;
}
