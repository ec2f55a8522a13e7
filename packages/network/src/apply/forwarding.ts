/**
 * Forwarding of packets, which hosts mostly have switched off, and how it was before us. Notes of that
 * live on a tmpfs, as these settings do not outlive a boot either.
 */
import { access, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { GATEWAY_LINK_PREFIX, INGRESS_LINK } from '../desired/names.ts';
import { listJson } from './listing.ts';
import { replaceFile } from './notes.ts';

const IPV4 = '/proc/sys/net/ipv4/ip_forward';
const IPV6 = '/proc/sys/net/ipv6/conf';
/** Exists while forwarding is on only because of us. */
const NOTE_IPV4 = 'forwarding-was-off';
/** Exists from the moment IPv6 is used here, and until the node leaves: what IPv6 was like before. */
const NOTE_IPV6 = 'ipv6-before.json';

interface Ipv6Before {
  readonly wasForwarding: boolean;
  /** Links that hear of their default route from routers, which a host that forwards does not. */
  readonly listening: readonly string[];
}

export async function forwardIpv4(folder: string): Promise<void> {
  if ((await readFile(IPV4, 'utf8')).trim() !== '0') return;
  await writeFile(join(folder, NOTE_IPV4), '');
  await writeFile(IPV4, '1');
}

/**
 * Forwards IPv6 from now on, if that is `wanted` or was before; without losing a default route that the
 * host has from router advertisements. @returns whether it does: not where IPv6 is switched off.
 */
export async function forwardIpv6(folder: string, wanted: boolean): Promise<boolean> {
  const note = join(folder, NOTE_IPV6);
  const isNoted = await exists(note);
  if (!isNoted && !wanted) return false;
  if ((await setting('all', 'disable_ipv6')) !== '0') return false;
  if (!isNoted) {
    const wasForwarding = (await setting('all', 'forwarding')) !== '0';
    const listening = wasForwarding ? [] : await listeningLinks();
    const before: Ipv6Before = { wasForwarding, listening };
    replaceFile(note, JSON.stringify(before));
  }
  const { listening } = JSON.parse(await readFile(note, 'utf8')) as Ipv6Before;
  for (const link of listening) await set(link, 'accept_ra', '2');
  if ((await setting('all', 'forwarding')) === '0') await set('all', 'forwarding', '1');
  return true;
}

/** Everything as it was. */
export async function restoreForwarding(folder: string): Promise<void> {
  if (await exists(join(folder, NOTE_IPV4))) await writeFile(IPV4, '0');
  const note = join(folder, NOTE_IPV6);
  if (!(await exists(note))) return;
  const { wasForwarding, listening } = JSON.parse(await readFile(note, 'utf8')) as Ipv6Before;
  if (!wasForwarding) await set('all', 'forwarding', '0');
  for (const link of listening) await set(link, 'accept_ra', '1');
}

/** Links that heard from a router, and devices that may yet: not what other software made for itself. */
async function listeningLinks(): Promise<string[]> {
  const routes = await listJson<{ dev?: string }>('ip', ['-6', 'route', 'show', 'proto', 'ra']);
  const heard = new Set(routes.map(({ dev }) => dev));
  const links: string[] = [];
  for (const link of await readdir(IPV6)) {
    if (['all', 'default', 'lo', INGRESS_LINK].includes(link)) continue;
    if (link.startsWith(GATEWAY_LINK_PREFIX)) continue;
    if ((await setting(link, 'accept_ra')) !== '1') continue;
    if (heard.has(link) || (await exists(`/sys/class/net/${link}/device`))) links.push(link);
  }
  return links;
}

/** Undefined when there is no such link, or no IPv6. */
async function setting(link: string, name: string): Promise<string | undefined> {
  try {
    return (await readFile(`${IPV6}/${link}/${name}`, 'utf8')).trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Nothing when the link has gone meanwhile. */
async function set(link: string, name: string, value: string): Promise<void> {
  if ((await setting(link, name)) !== undefined) await writeFile(`${IPV6}/${link}/${name}`, value);
}

function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
