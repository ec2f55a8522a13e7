/** Secrets that nodes derive the keys of encrypted networks from. */
import { randomBytes } from 'node:crypto';

const SECRET_BYTES = 32;

export function createOverlaySecret(): Uint8Array {
  return new Uint8Array(randomBytes(SECRET_BYTES));
}
