/**
 * The keys of encrypted networks over time. A ring holds up to three: one that was sent by before, the
 * one that is sent by, one that will be next. A node that has ring r receives by all of them and sends by
 * the middle one. As the middle of r is in r - 1 and in r + 1 too, two nodes whose rings are neighbours
 * understand each other, whoever got his first; so the next ring is given out once nobody has an
 * older one than the present. (Swarm's scheme, which does not wait.)
 */
import {
  isEncrypted,
  type Cluster,
  type Network,
  type Node,
  type NodeId,
  type OverlayKey,
  type OverlayKeys,
} from '@swarmd/model';

const KEYS_MAX = 3;

/** What deciding on keys reads. */
export interface KeyView {
  list(table: 'cluster'): Iterable<Cluster>;
  list(table: 'network'): Iterable<Network>;
  list(table: 'node'): Iterable<Node>;
}

/** Fresh secrets of 32 bytes. */
export type MakeSecret = () => Uint8Array;

interface Making {
  readonly secret: MakeSecret;
  readonly now: number;
  readonly periodMs: number;
}

/** A key to send by and the one after it. */
export function firstRing(making: Making): OverlayKeys {
  const keys = [newKey(1, making), newKey(2, making)];
  return { keys, primary: 1, dueAt: making.now + making.periodMs };
}

/** The next is sent by from now on, another one comes after it, and the oldest of three goes. */
export function advanceRing(ring: OverlayKeys, making: Making): OverlayKeys {
  const keys = [...ring.keys, newKey(newestId(ring) + 1, making)].slice(-KEYS_MAX);
  const primary = keys.at(-2)?.id ?? ring.primary;
  return { keys, primary, dueAt: making.now + making.periodMs };
}

function newKey(id: number, { secret, now }: Making): OverlayKey {
  return { id, secret: secret(), createdAt: now };
}

function newestId({ keys }: Pick<OverlayKeys, 'keys'>): number {
  return keys.at(-1)?.id ?? 0;
}

export type KeyDecision =
  /** There is nothing to encrypt, or no key yet. */
  | { readonly kind: 'rest' }
  /** Until a time, or (undefined) until these nodes have the present ring. */
  | { readonly kind: 'wait'; readonly until?: number; readonly missing: readonly NodeId[] }
  | { readonly kind: 'advance'; readonly missing: readonly NodeId[] };

/**
 * Whether the next ring is due. A node that the managers hear of and that does not get on with the present
 * one is waited for as long as a ring lasts; one that is down is not waited for.
 */
export function planKeys(view: KeyView, now: number): KeyDecision {
  const [cluster] = view.list('cluster');
  const ring = cluster?.overlayKeys;
  if (cluster === undefined || ring === undefined) return { kind: 'rest' };
  const hasNetwork = [...view.list('network')].some(({ spec }) => isEncrypted(spec));
  if (!hasNetwork && !cluster.spec.encryptMesh) return { kind: 'rest' };
  const periodMs = cluster.spec.overlayKeyPeriodMs;
  const dueAt = dueOf(ring, periodMs);
  if (now < dueAt) return { kind: 'wait', until: dueAt, missing: [] };
  const missing = [...view.list('node')]
    .filter(({ status }) => status.state === 'ready')
    .filter(({ description }) => isBehind(description?.encryption, newestId(ring)))
    .map(({ id }) => id);
  const patienceEnds = dueAt + periodMs;
  if (missing.length === 0 || now >= patienceEnds) return { kind: 'advance', missing };
  return { kind: 'wait', until: patienceEnds, missing };
}

/** Sooner when the period was made shorter since. */
function dueOf({ keys, dueAt }: OverlayKeys, periodMs: number): number {
  return Math.min(dueAt, (keys.at(-1)?.createdAt ?? dueAt) + periodMs);
}

function isBehind(
  encryption: { readonly incarnation: string; readonly newestKey: number } | undefined,
  newest: number,
): boolean {
  return encryption !== undefined && encryption.incarnation !== '' && encryption.newestKey < newest;
}
