/**
 * Encrypted overlays: ESP in transport mode (RFC 4303) around their VXLAN, which has a UDP port of its
 * own. Two policies for the port come first and let nothing pass that is not ESP, in or out; then each
 * other node gets a state per key to receive by, one to send by, and the policy that sends by it.
 *
 * A state's key is derived from the ring's secret, the two addresses and what both nodes call the state
 * of their kernels (`incarnation`), so that no two directions, nodes or boots share one: counters of packets
 * start at 0 with every new state, and AES-GCM must see no counter twice with a key (RFC 4106, 9).
 */
import {
  encryptedVxlanPort,
  isEncrypted,
  type EncryptedPeer,
  type NetworkState,
  type OverlayKey,
} from '@swarmd/model';

import { hashOf } from './hash.ts';
import {
  espPolicyObject,
  espStateObject,
  guardObjects,
  type KernelObject,
} from './kernel-object.ts';

/**
 * HKDF (RFC 5869) of a secret: the same on every node. @returns `0x`, 16 bytes of key and 4 of salt in hex,
 * as the kernel takes them for rfc4106(gcm(aes)).
 */
export type DeriveKey = (secret: Uint8Array, purpose: string) => string;

/** What a node needs to take part, besides what it is told. */
export interface Sealing {
  readonly incarnation: string;
  readonly derive: DeriveKey;
}

export function encryptionObjects(state: NetworkState, sealing: Sealing): KernelObject[] {
  const { self, encryption, vxlanPort } = state;
  const port = encryptedVxlanPort(vxlanPort);
  const guards = guardObjects(port);
  if (encryption === undefined) return guards;
  const { keys, primary, peers } = encryption;
  const own = { ...self, incarnation: sealing.incarnation };
  const sending = keys.find(({ id }) => id === primary);
  const others = peers.filter(({ nodeId }) => nodeId !== self.nodeId);
  const stateOf = (from: EncryptedPeer, to: EncryptedPeer, key: OverlayKey): KernelObject =>
    espStateObject({
      ...addressesOf(from, to, port),
      spi: spiOf(from, to, key.id),
      key: sealing.derive(key.secret, purposeOf(from, to)),
    });
  return [
    ...guards,
    ...others.flatMap((peer) => [
      ...keys.map((key) => stateOf(peer, own, key)),
      ...(sending === undefined ? [] : [stateOf(own, peer, sending)]),
    ]),
    ...others.flatMap((peer) =>
      sending === undefined
        ? []
        : [
            espPolicyObject({
              ...addressesOf(own, peer, port),
              spi: spiOf(own, peer, sending.id),
            }),
          ],
    ),
  ];
}

/** True when this node's tasks are on an encrypted network, or the mesh is encrypted. */
export function hasEncrypted({
  networks,
  encryptsMesh,
}: Pick<NetworkState, 'networks' | 'encryptsMesh'>): boolean {
  return encryptsMesh === true || networks.some(({ spec }) => isEncrypted(spec));
}

function addressesOf(
  from: EncryptedPeer,
  to: EncryptedPeer,
  port: number,
): { source: string; destination: string; port: number } {
  return { source: from.address, destination: to.address, port };
}

function purposeOf(from: EncryptedPeer, to: EncryptedPeer): string {
  const ends = [from, to].flatMap(({ address, incarnation }) => [address, incarnation]);
  return ['swarmd overlay esp 1', ...ends].join('\n');
}

const KEY_TAGS = 127;

/**
 * A receiver tells states by SPI alone, so those of one receiver must differ: 7 bits of the key's id (a ring's
 * ids follow each other), 16 of the sender's index, 8 of what both call their kernels' state. Never below
 * 0x01000000 (up to 255 is reserved) nor from 0x80000000 up, where IKE daemons choose.
 */
export function spiOf(from: EncryptedPeer, to: EncryptedPeer, keyId: number): string {
  const tag = hashOf(`${from.incarnation} ${to.incarnation}`) % 256;
  const spi = ((keyId % KEY_TAGS) + 1) * 2 ** 24 + from.index * 2 ** 8 + tag;
  return `0x${spi.toString(16).padStart(8, '0')}`;
}
