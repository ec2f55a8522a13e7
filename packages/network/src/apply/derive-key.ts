/** Keys of ESP from the cluster's secrets. */
import { hkdfSync } from 'node:crypto';

import type { DeriveKey } from '../desired/encryption.ts';

/** A key of AES-128 and the salt of its nonces (RFC 4106, 8.1). */
const KEY_AND_SALT_BYTES = 16 + 4;

/** A thousand nodes with four states each, and as many that they had before. */
const KNOWN_MAX = 8_000;

/** Every change of a network asks for all of them again: 10 us each. */
const known = new Map<string, string>();

export const deriveKey: DeriveKey = (secret, purpose) => {
  const name = `${Buffer.from(secret).toString('base64')} ${purpose}`;
  let key = known.get(name);
  if (key !== undefined) return key;
  const bytes = hkdfSync('sha256', secret, new Uint8Array(), purpose, KEY_AND_SALT_BYTES);
  key = `0x${Buffer.from(bytes).toString('hex')}`;
  if (known.size >= KNOWN_MAX) known.clear();
  known.set(name, key);
  return key;
};
