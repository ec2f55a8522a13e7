/** Rules that give each new connection one of several backends: in turn, or by the client's address. */
import type { EndpointSpec } from '@swarmd/model';

import { hashOf, shareSlots } from './hash.ts';
import type { NftFamily } from './nft-program.ts';

export interface Balancing {
  /** Name of the chain the rules are for; others that they need begin with it. */
  readonly chain: string;
  /** The position of the backend that turns begin with; taken modulo their number. See `firstFor`. */
  readonly first: number;
  readonly backends: readonly string[];
  readonly family?: NftFamily;
  /** Port at the backends; undefined: whatever port is asked for. */
  readonly port?: number;
  /** What stands before the translation, e.g. "meta l4proto tcp "; needed for ports. */
  readonly before?: string;
  readonly affinity: EndpointSpec['affinity'];
  readonly affinityTimeoutMs: number;
}

/** What a table needs for it. */
export interface BalancingParts {
  readonly chains: readonly (readonly [name: string, rules: readonly string[]])[];
  readonly sets: readonly (readonly [name: string, declaration: string])[];
}

/** Sets that the kernel fills begin with this: who is remembered. */
export const MEMORY_PREFIX = 'mem_';
/** Clients remembered per backend. A kernel that has no room forgets nobody, but adds nobody. */
const REMEMBERED_MAX = 65_536;
const SEED = '0x5a';

/**
 * Each host and container begins its turns at another backend, or the first connections of all of
 * them, and those after every change, would go to the same one.
 */
export function firstFor(asker: string, chain: string): number {
  return hashOf(`${asker} ${chain}`);
}

export function balancing(wanted: Balancing): BalancingParts {
  const { chain, backends, affinity, affinityTimeoutMs, before = '' } = wanted;
  if (backends.length === 0) return { chains: [[chain, []]], sets: [] };
  if (affinity === 'client-ip' && affinityTimeoutMs > 0) return remembering(wanted);
  return { chains: [[chain, [`${before}dnat to ${choice(wanted)}`]]], sets: [] };
}

function choice(wanted: Balancing): string {
  const { backends, port, affinity, family = 'ip' } = wanted;
  const [only, ...others] = backends;
  if (only !== undefined && others.length === 0)
    return port === undefined ? only : withPort(only, port);
  const targets = backends.map((one) => (port === undefined ? one : `${one} . ${port}`));
  if (affinity === 'none') {
    const inTurn = rotated(targets, wanted.first);
    return `numgen inc mod ${targets.length} ${mapOf('map', inTurn)}`;
  }
  return hashed('map', { backends, family }, targets);
}

function rotated<T>(items: readonly T[], by: number): T[] {
  const first = by % items.length;
  return [...items.slice(first), ...items.slice(0, first)];
}

function withPort(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/**
 * A chain per backend which remembers who came; those are sent there again before the hash is asked.
 * A backend that leaves takes its memory with it.
 */
function remembering(wanted: Balancing): BalancingParts {
  const { chain, backends, port, before = '', affinityTimeoutMs, family = 'ip' } = wanted;
  const seconds = Math.max(1, Math.round(affinityTimeoutMs / 1_000));
  const own = backends.map((backend) => {
    const name = `${chain}_to_${backend.replaceAll(/[.:]/g, '_')}`;
    return { name, memory: `${MEMORY_PREFIX}${name}`, backend };
  });
  const toBackend = ({ backend }: { backend: string }): string =>
    `${before}dnat to ${port === undefined ? backend : withPort(backend, port)}`;
  const declaration = `{ type ${family === 'ip' ? 'ipv4' : 'ipv6'}_addr; size ${REMEMBERED_MAX}; flags dynamic,timeout; timeout ${seconds}s; }`;
  const names = own.map(({ name }) => `goto ${name}`);
  const pick = names.length === 1 ? (names[0] ?? '') : hashed('vmap', { backends, family }, names);
  return {
    chains: [
      [chain, [...own.map(({ name, memory }) => `${family} saddr @${memory} goto ${name}`), pick]],
      ...own.map(
        (one) => [one.name, [`update @${one.memory} { ${family} saddr }`, toBackend(one)]] as const,
      ),
    ],
    sets: own.map(({ memory }) => [memory, declaration] as const),
  };
}

/** The same client is sent to the same backend by every node, as all hash alike. */
function hashed(
  kind: 'map' | 'vmap',
  { backends, family = 'ip' }: Pick<Balancing, 'backends' | 'family'>,
  targets: readonly string[],
): string {
  const slots = backends.length <= FEW ? SLOTS_FEW : SLOTS_MANY;
  const owners = shareSlots(backends, slots).map((position) => targets[position] ?? '');
  return `jhash ${family} saddr mod ${slots} seed ${SEED} ${mapOf(kind, owners)}`;
}

/** Enough slots that shares are even within some tens of percent. */
const FEW = 32;
const SLOTS_FEW = 256;
const SLOTS_MANY = 4_096;

function mapOf(kind: 'map' | 'vmap', targets: readonly string[]): string {
  return `${kind} { ${targets.map((target, slot) => `${slot} : ${target}`).join(', ')} }`;
}
