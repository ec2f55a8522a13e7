/** Networks that this machine has beside ours. */
import { readFileSync } from 'node:fs';

import { formatIpv4 } from '@swarmd/model';

import { GATEWAY_LINK_PREFIX, INGRESS_LINK } from '../desired/names.ts';

const ROUTES = '/proc/net/route';
const LINK_LOCAL = '169.254.';

/** Where this machine can go without its default route; nothing on systems that do not say. */
export function hostNetworks(): string[] {
  let text: string;
  try {
    text = readFileSync(ROUTES, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  return networksOfRoutes(text);
}

/** Networks in the words of `/proc/net/route`, sorted, each once. */
export function networksOfRoutes(text: string): string[] {
  const networks = text
    .split('\n')
    .slice(1)
    .map((line) => line.split(/\s+/))
    .filter(
      ([link = '*', , , , , , , mask = '']) =>
        link !== '*' && mask !== '00000000' && !isOwnLink(link),
    )
    .filter((fields) => fields.length >= 8)
    .map(([, destination = '', , , , , , mask = '']) => {
      const bits = hostOrder(mask).toString(2).replaceAll('0', '').length;
      return `${formatIpv4(hostOrder(destination))}/${bits}`;
    })
    .filter((network) => !network.startsWith(LINK_LOCAL));
  return [...new Set(networks)].toSorted();
}

/** The host's ends of our own networks. */
export function isOwnLink(name: string): boolean {
  return name.startsWith(GATEWAY_LINK_PREFIX) || name.startsWith(INGRESS_LINK);
}

/** The kernel prints the bytes of an address as one number of this machine: little-endian. */
function hostOrder(hex: string): number {
  const bytes = hex.match(/../g) ?? [];
  return bytes.reduceRight((value, byte) => value * 256 + Number.parseInt(byte, 16), 0);
}
