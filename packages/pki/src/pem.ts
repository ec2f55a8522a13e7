/** PEM, RFC 7468. */
import { SwarmError } from '@swarmd/base';

const LINE = 64;

export function toPem(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(new RegExp(`.{1,${LINE}}`, 'g')) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}

/** @throws SwarmError `invalid-argument` when there is no such block. */
export function fromPem(label: string, pem: string): Buffer {
  const [, base64] =
    new RegExp(`-----BEGIN ${label}-----([A-Za-z0-9+/=\\s]+)-----END ${label}-----`).exec(pem) ??
    [];
  if (base64 === undefined) {
    throw new SwarmError('invalid-argument', `not a PEM block "${label}"`);
  }
  return Buffer.from(base64, 'base64');
}
