/** What the host's table has for published ports. */
import type { PublishedPort } from '@swarmd/model';

import { isInSubnet } from './addresses.ts';
import { balancing, firstFor, type BalancingParts } from './balance.ts';
import { meshAddress } from './family.ts';
import type { NftFamily } from './nft-program.ts';

export interface PortParts extends BalancingParts {
  /** Elements of the maps from what a packet asks for to a chain, and of the sets of what nobody serves. */
  readonly elements: ReadonlyMap<string, ReadonlyMap<string, string>>;
}

/** Connections by ports whose tasks shall see the node instead of the client carry this mark. */
export const SNAT_MARK = '0x5b000000';

/** @param gatewaySubnet of this host: where backends are that are its own. */
export function portParts(
  all: readonly PublishedPort[],
  gatewaySubnet: string,
  family: NftFamily,
): PortParts {
  const ports = all.filter((port) => answersBy(family, port));
  const wanted = ports.map((port) => balancingOf(port, gatewaySubnet, family));
  const parts = wanted.map(balancing);
  const keyed = ports.map((port, i) => ({
    key: keyOf(port),
    isBound: port.address !== '',
    isServed: wanted[i]?.backends.length !== 0,
    verdict: `jump ${portChain(port)}`,
  }));
  const bound = keyed.filter(({ isBound }) => isBound);
  const everywhere = keyed.filter(({ isBound }) => !isBound);
  const verdicts = (list: typeof keyed) => new Map(list.map(({ key, verdict }) => [key, verdict]));
  const unserved = (list: typeof keyed) =>
    new Map(list.filter(({ isServed }) => !isServed).map(({ key }) => [key, '']));
  return {
    chains: parts.flatMap(({ chains }) => chains),
    sets: parts.flatMap(({ sets }) => sets),
    elements: new Map([
      ['ports', verdicts(everywhere)],
      ['bound_ports', verdicts(bound)],
      ['unserved', unserved(everywhere)],
      ['bound_unserved', unserved(bound)],
    ]),
  };
}

/** A port of all addresses whose tasks have no IPv6 is left to the node's own programs, which may. */
function answersBy(family: NftFamily, { address, backends6 }: PublishedPort): boolean {
  if (address !== '') return (family === 'ip6') === address.includes(':');
  return family === 'ip' || backends6.length > 0;
}

function keyOf({ address, protocol, publishedPort }: PublishedPort): string {
  return `${address === '' ? '' : `${address} . `}${protocol} . ${publishedPort}`;
}

/**
 * Without backends the chain is empty and the port is in the set of what is refused at once. So it is
 * on a host without a task, if only those with one answer.
 */
function balancingOf(port: PublishedPort, gatewaySubnet: string, family: NftFamily) {
  const { protocol, source, localOnly, affinity, affinityTimeoutMs } = port;
  const snat = source === 'snat' ? `ct mark set ${SNAT_MARK} ` : '';
  const all = family === 'ip' ? port.backends : port.backends6;
  const backends = all.filter((one) => !localOnly || isInSubnet(one, gatewaySubnet));
  return {
    family,
    chain: portChain(port),
    first: firstFor(gatewaySubnet, portChain(port)),
    backends: backends.map((one) => meshAddress(family, one)),
    port: port.targetPort,
    before: `meta l4proto ${protocol} ${snat}`,
    affinity,
    affinityTimeoutMs,
  };
}

/** The chain of a port, which is also its name among all ports. */
export function portChain({ protocol, publishedPort, address }: PublishedPort): string {
  const bound = address === '' ? '' : `_${address.replaceAll(/[.:]/g, '_')}`;
  return `port_${protocol}_${publishedPort}${bound}`;
}
