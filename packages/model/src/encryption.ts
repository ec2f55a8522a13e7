/**
 * Encrypted overlay networks: the secrets that managers make and nodes derive the keys of their packets
 * from, and what nodes tell each other by way of the managers. See docs/encryption.md.
 */
import type { NodeId } from './ids.ts';
import type { NetworkSpec } from './spec/cluster-objects.ts';

/** A secret that every two nodes derive keys of their own from. */
export interface OverlayKey {
  /** 1, 2, ...: never used again for another secret. */
  readonly id: number;
  /** 32 bytes. Empty in everything the control API returns. */
  readonly secret: Uint8Array;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
}

/**
 * What nodes can receive by, oldest first, and what they send by. Two that hold neighbouring rings always
 * understand each other: see `advanceRing` of the planner.
 */
export interface KeyRing {
  readonly keys: readonly OverlayKey[];
  /** Id of the key that is sent by. */
  readonly primary: number;
}

/** The ring of a cluster. */
export interface OverlayKeys extends KeyRing {
  /** When the next one is to take its place, once every node has this one. */
  readonly dueAt: number;
}

/** What a node says of its part in it. */
export interface NodeEncryption {
  /** Why it can take no part, for people: what its kernel lacks. Empty: it can. */
  readonly lacks: string;
  /**
   * Names the state that its kernel holds: another one is chosen whenever counters of packets start
   * anew, so that none is ever used twice with a key. Empty while it has no encrypted network.
   */
  readonly incarnation: string;
  /** Id of the newest key that it can receive by; 0: none. */
  readonly newestKey: number;
}

/** Another node with encrypted networks. */
export interface EncryptedPeer {
  readonly nodeId: NodeId;
  readonly index: number;
  readonly address: string;
  readonly incarnation: string;
}

/** What a node with a task on an encrypted network is told. */
export interface NetworkEncryption extends KeyRing {
  /** Nodes with encrypted networks. Managers list the node itself too; it passes over that. */
  readonly peers: readonly EncryptedPeer[];
}

/** True when packets of the network between nodes are to be encrypted. */
export function isEncrypted({ driver, options }: Pick<NetworkSpec, 'driver' | 'options'>): boolean {
  const wanted = options['encrypted'];
  return driver === 'overlay' && wanted !== undefined && wanted !== 'false';
}

/**
 * The UDP port of VXLAN for encrypted networks: one of their own, so that what may not be seen in clear
 * is known by its port to every rule of the kernel and of firewalls on the way.
 */
export function encryptedVxlanPort(vxlanPort: number): number {
  return vxlanPort + 1;
}
