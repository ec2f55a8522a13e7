/**
 * Whom a container asks for names, as its resolv.conf(5) says and as our name server goes on from there.
 * Docker's rules: containers of networks ask our server, which asks the task's own servers or the host's;
 * search domains and options are the task's own or the host's, and bare names are asked as they are.
 */
import type { ContainerSpec, Task } from '@swarmd/model';

import { isOnNetworkOf } from './addresses.ts';
import { CONTAINER_NAMESERVER } from './names.ts';

export interface Resolver {
  readonly nameservers: readonly string[];
  readonly search: readonly string[];
  readonly options: readonly string[];
}

export const NO_RESOLVER: Resolver = { nameservers: [], search: [], options: [] };

/** What a resolv.conf says: of several lists of domains the last, of options all. */
export function parseResolvConf(text: string): Resolver {
  const lines = text.split('\n').map((line) => line.trim().split(/\s+/));
  const valuesOf = (...words: string[]): string[][] =>
    lines.filter(([word = '']) => words.includes(word)).map(([, ...values]) => values);
  return {
    nameservers: valuesOf('nameserver').flatMap((values) => values.slice(0, 1)),
    search: valuesOf('search', 'domain').at(-1) ?? [],
    options: valuesOf('options').flat(),
  };
}

/**
 * The resolv.conf of a container on networks of ours. Servers on those networks, which the host cannot
 * reach, are asked by the container itself when our server has no answer.
 */
export function ownResolver(task: Task, host: Resolver): Resolver {
  const { search, options } = chosen(task, host);
  const direct = serversOf(task).filter((address) => isOnNetworks(task, address));
  const hasNdots = options.some((option) => option.startsWith('ndots:'));
  return {
    nameservers: [CONTAINER_NAMESERVER, ...direct],
    search,
    options: hasNdots ? options : ['ndots:0', ...options],
  };
}

/** The same of a container with the host's interfaces, or with none. */
export function foreignResolver(task: Task, host: Resolver): Resolver {
  const own = serversOf(task);
  return { nameservers: own.length > 0 ? own : host.nameservers, ...chosen(task, host) };
}

/** The servers that ours asks for the container; undefined: the host's. */
export function upstreamsOf(task: Task): readonly string[] | undefined {
  const own = serversOf(task);
  return own.length === 0 ? undefined : own.filter((address) => !isOnNetworks(task, address));
}

/** "." as the only domain is Docker's way to say: none. */
function chosen(task: Task, host: Resolver): Omit<Resolver, 'nameservers'> {
  const dns = dnsOf(task);
  const { search = [], options = [] } = dns ?? {};
  return {
    search: search.length > 0 ? search.filter((domain) => domain !== '.') : host.search,
    options: options.length > 0 ? options : host.options,
  };
}

function isOnNetworks({ networks }: Task, server: string): boolean {
  if (!/^[\d.]+$/.test(server)) return false;
  return networks.some(({ address }) => address !== '' && isOnNetworkOf(server, address));
}

function serversOf(task: Task): readonly string[] {
  return dnsOf(task)?.nameservers ?? [];
}

function dnsOf({ spec }: Task): Partial<ContainerSpec['dns']> | undefined {
  return (spec as Partial<Task['spec']>).container?.dns;
}
