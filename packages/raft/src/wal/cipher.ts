/**
 * Encryption at rest: AES-256-GCM with a random nonce per record. The place of a record (its key in
 * the log, its number in a snapshot) is authenticated with it, so that a record cannot be moved.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

import { SwarmError } from '@swarmd/base';

const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

export interface RecordCipher {
  /** `nonce | ciphertext | tag`. */
  seal(plain: Uint8Array, place: Uint8Array): Buffer;
  /** @throws when the key is another one or a bit differs. */
  open(sealed: Uint8Array, place: Uint8Array): Buffer;
}

/** @throws SwarmError `invalid-argument` unless the key has 32 bytes. */
export function recordCipher(key: Uint8Array): RecordCipher {
  if (key.length !== KEY_BYTES) {
    throw new SwarmError(
      'invalid-argument',
      `the key of the Raft log has ${key.length} bytes; it must have ${KEY_BYTES}`,
    );
  }
  return {
    seal: (plain, place) => {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(place);
      return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
    },
    open: (sealed, place) => {
      if (sealed.length < NONCE_BYTES + TAG_BYTES) throw new Error('record is too short');
      const end = sealed.length - TAG_BYTES;
      const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, NONCE_BYTES))
        .setAAD(place)
        .setAuthTag(sealed.subarray(end));
      return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, end)), decipher.final()]);
    },
  };
}
