/** Pieces of certificates (RFC 5280) in DER. */
import { createHash, type KeyObject } from 'node:crypto';

import * as der from './der.ts';

/** AlgorithmIdentifier, RFC 5758 section 3.2. */
export const ECDSA_WITH_SHA256 = der.sequence(der.oid('1.2.840.10045.4.3.2'));

const NAME_OIDS = { CN: '2.5.4.3', O: '2.5.4.10', OU: '2.5.4.11' } as const;

export type DistinguishedName = Readonly<Partial<Record<keyof typeof NAME_OIDS, string>>>;

/** One attribute in each relative name, in the order given. */
export function distinguishedName(name: DistinguishedName): Buffer {
  const attributes = Object.entries(name) as [keyof typeof NAME_OIDS, string][];
  return der.sequence(
    ...attributes.map(([key, value]) =>
      der.set(der.sequence(der.oid(NAME_OIDS[key]), der.utf8String(value))),
    ),
  );
}

function extension(
  oid: string,
  value: Buffer,
  { critical = false }: { readonly critical?: boolean } = {},
): Buffer {
  const flag = critical ? [der.boolean(true)] : [];
  return der.sequence(der.oid(oid), ...flag, der.octetString(value));
}

/** Section 4.2.1.9. */
export function basicConstraints({ ca }: { readonly ca: boolean }): Buffer {
  const value = ca ? der.sequence(der.boolean(true)) : der.sequence();
  return extension('2.5.29.19', value, { critical: true });
}

/** Section 4.2.1.3. CAs sign certificates and revocation lists; nodes sign handshakes. */
export function keyUsage({ ca }: { readonly ca: boolean }): Buffer {
  const value = ca
    ? der.bitString(Buffer.from([0b0000_0110]), 1)
    : der.bitString(Buffer.from([0b1000_0000]), 7);
  return extension('2.5.29.15', value, { critical: true });
}

/** Section 4.2.1.12: both ends of TLS connections. */
export function serverAndClientUsage(): Buffer {
  const value = der.sequence(der.oid('1.3.6.1.5.5.7.3.1'), der.oid('1.3.6.1.5.5.7.3.2'));
  return extension('2.5.29.37', value);
}

/** Section 4.2.1.6. */
export function dnsNames(names: readonly string[]): Buffer {
  const items = names.map((name) => der.context(2, Buffer.from(name), { primitive: true }));
  return extension('2.5.29.17', der.sequence(...items));
}

/** Section 4.2.1.2, method 1: SHA-1 of the key, as a name and not for security. */
export function subjectKeyId(key: KeyObject): Buffer {
  return extension('2.5.29.14', der.octetString(keyId(key)));
}

/** Section 4.2.1.1. */
export function authorityKeyId(key: KeyObject): Buffer {
  return extension('2.5.29.35', der.sequence(der.context(0, keyId(key), { primitive: true })));
}

function keyId(key: KeyObject): Buffer {
  const [spki] = der.read(key.export({ type: 'spki', format: 'der' }));
  const [, point] = der.readSequence(spki);
  return createHash('sha1').update(der.readBitString(point)).digest();
}
