/** Keys of ESP from the cluster's secrets. */
import { hkdfSync } from 'node:crypto';

import type { DeriveKey } from '../desired/encryption.ts';

/** A key of AES-128 and the salt of its nonces (RFC 4106, 8.1). */
const KEY_AND_SALT_BYTES = 16 + 4;

export const deriveKey: DeriveKey = (secret, purpose) => {
  const bytes = hkdfSync('sha256', secret, new Uint8Array(), purpose, KEY_AND_SALT_BYTES);
  return `0x${Buffer.from(bytes).toString('hex')}`;
};
