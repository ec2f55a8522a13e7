/** What the host's table has for published ports. */
import type { PublishedPort } from '@swarmd/model';

import { isInSubnet } from './addresses.ts';
import { balancing, firstFor, type Balancing, type BalancingParts } from './balance.ts';
import { meshAddress } from './family.ts';
import { hashOf } from './hash.ts';
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
  const chains = portChains(all);
  const ports = all.filter((port) => answersBy(family, port));
  const wanted = new Map<string, Balancing>();
  const keyed = ports.map((port) => {
    const { chain, isShared } = chains.get(port) ?? { chain: ownChain(port), isShared: false };
    const known =
      wanted.get(chain) ?? balancingOf(port, { chain, isShared, gatewaySubnet, family });
    wanted.set(chain, known);
    return {
      key: keyOf(port),
      isBound: port.address !== '',
      isServed: known.backends.length !== 0,
      verdict: `jump ${chain}`,
    };
  });
  const parts = [...wanted.values()].map(balancing);
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

/** What tells a published port from all others. */
export function keyOf({ address, protocol, publishedPort }: PublishedPort): string {
  return `${address === '' ? '' : `${address} . `}${protocol} . ${publishedPort}`;
}

/**
 * Without backends the chain is empty and the port is in the set of what is refused at once. So it is
 * on a host without a task, if only those with one answer.
 */
function balancingOf(
  port: PublishedPort,
  options: { chain: string; isShared: boolean; gatewaySubnet: string; family: NftFamily },
): Balancing {
  const { protocol, source, localOnly, affinity, affinityTimeoutMs } = port;
  const { chain, isShared, gatewaySubnet, family } = options;
  const snat = source === 'snat' ? `ct mark set ${SNAT_MARK} ` : '';
  const all = family === 'ip' ? port.backends : port.backends6;
  const backends = all.filter((one) => !localOnly || isInSubnet(one, gatewaySubnet));
  return {
    family,
    chain,
    first: firstFor(gatewaySubnet, chain),
    backends: backends.map((one) => meshAddress(family, one)),
    // All keep the port that was asked for.
    ...(isShared ? {} : { port: port.targetPort }),
    before: `meta l4proto ${protocol} ${snat}`,
    affinity,
    affinityTimeoutMs,
  };
}

interface PortChain {
  readonly chain: string;
  readonly isShared: boolean;
}

/**
 * The chain of each port: one of its own, or one for all ports of a service that lead to the same tasks
 * and are the same there, as those of a range mostly are. A task that comes or goes is one rule then.
 */
export function portChains(ports: readonly PublishedPort[]): ReadonlyMap<PublishedPort, PortChain> {
  const groups = Map.groupBy(ports, (port) =>
    port.targetPort === port.publishedPort ? sharedBy(port) : keyOf(port),
  );
  return new Map(
    [...groups].flatMap(([key, group]) => {
      const [first] = group;
      const tasks = new Set(
        group.map(({ backends, backends6 }) => [...backends, '', ...backends6].join(' ')),
      );
      const isShared = group.length > 1 && tasks.size === 1;
      const shared = `ports_${first?.protocol}_${hashOf(key).toString(36)}`;
      return group.map((port) => [port, { chain: isShared ? shared : ownChain(port), isShared }]);
    }),
  );
}

function sharedBy(port: PublishedPort): string {
  const { serviceId, protocol, publishMode, address, source, localOnly } = port;
  const { affinity, affinityTimeoutMs } = port;
  const kind = [serviceId, protocol, publishMode, address, source, localOnly];
  return [...kind, affinity, affinityTimeoutMs].join(' ');
}

function ownChain({ protocol, publishedPort, address }: PublishedPort): string {
  const bound = address === '' ? '' : `_${address.replaceAll(/[.:]/g, '_')}`;
  return `port_${protocol}_${publishedPort}${bound}`;
}
