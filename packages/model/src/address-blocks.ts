/**
 * A set of IPv4 addresses as short text, one string for each /24 that has any: `10.0.3.1-17,20`. It says
 * exactly the addresses of the set, and one that comes or goes changes one string. Thousands of hosts of
 * a few subnets take some hundred bytes instead of 15 bytes each.
 */
import { formatIpv4, parseIpv4 } from './ipv4.ts';

/** Sorted; what is no IPv4 address stays as it is. */
export function addressBlocks(addresses: Iterable<string>): string[] {
  const hosts = new Map<number, Set<number>>();
  const others = new Set<string>();
  for (const text of addresses) {
    const address = parseIpv4(text);
    if (address === undefined) {
      others.add(text);
      continue;
    }
    const block = address >>> 8;
    const known = hosts.get(block);
    if (known === undefined) hosts.set(block, new Set([address & 255]));
    else known.add(address & 255);
  }
  const blocks = [...hosts].toSorted(([a], [b]) => a - b);
  return [
    ...blocks.map(([block, set]) => `${prefixOf(block)}${runs([...set])}`),
    ...[...others].toSorted(),
  ];
}

/** The addresses that `addressBlocks` was given, each once. */
export function addressesOfBlocks(blocks: Iterable<string>): string[] {
  return [...blocks].flatMap(addressesOfBlock);
}

function addressesOfBlock(block: string): string[] {
  const parts = /^(\d+\.\d+\.\d+\.)([\d,-]+)$/.exec(block);
  if (parts === null) return [block];
  const [, prefix = '', hosts = ''] = parts;
  return hosts.split(',').flatMap((run) => {
    const [first = '', last = first] = run.split('-');
    const count = Math.min(Number(last), 255) - Number(first) + 1;
    return Array.from({ length: count }, (_, at) => `${prefix}${Number(first) + at}`);
  });
}

/** `10.0.3.` */
function prefixOf(block: number): string {
  return formatIpv4(block * 256).slice(0, -1);
}

function runs(hosts: number[]): string {
  const texts: string[] = [];
  let first: number | undefined;
  let last = -1;
  const close = (): void => {
    if (first !== undefined) texts.push(first === last ? `${first}` : `${first}-${last}`);
  };
  for (const host of hosts.sort((a, b) => a - b)) {
    if (host !== last + 1 || first === undefined) {
      close();
      first = host;
    }
    last = host;
  }
  close();
  return texts.join(',');
}
