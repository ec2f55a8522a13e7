/** Keys of nodes and their signing requests (PKCS #10, RFC 2986). */
import { createPublicKey, generateKeyPairSync, sign, verify, type KeyObject } from 'node:crypto';

import { SwarmError } from '@swarmd/base';

import * as der from './der.ts';
import { distinguishedName, ECDSA_WITH_SHA256 } from './fields.ts';
import { fromPem, toPem } from './pem.ts';

const LABEL = 'CERTIFICATE REQUEST';
/** The one curve in use: 128 bits of security, fast, in every TLS library. */
const CURVE = 'prime256v1';

/** A new private key (PKCS #8) and a request for a certificate, both PEM. The CA decides all names. */
export function createKeyAndCsr(): { keyPem: string; csrPem: string } {
  const { privateKey, publicKey } = newKeyPair();
  const info = der.sequence(
    der.integer(Buffer.from([0])),
    distinguishedName({ CN: 'swarm-node' }),
    publicKey.export({ type: 'spki', format: 'der' }),
    der.context(0, Buffer.alloc(0)),
  );
  const signature = der.bitString(sign('sha256', info, privateKey));
  return {
    keyPem: keyToPem(privateKey),
    csrPem: toPem(LABEL, der.sequence(info, ECDSA_WITH_SHA256, signature)),
  };
}

/** PKCS #8. */
export function keyToPem(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}

export function newKeyPair(): { privateKey: KeyObject; publicKey: KeyObject } {
  return generateKeyPairSync('ec', { namedCurve: CURVE });
}

/**
 * The key that a request is for, once its signature has proved that the sender holds it.
 * @throws SwarmError `invalid-argument`
 */
export function publicKeyOfCsr(csrPem: string): KeyObject {
  const [request, ...rest] = der.read(fromPem(LABEL, csrPem));
  if (rest.length > 0) throw unfit('has bytes after its end');
  const [info, algorithm, signature] = der.readSequence(request);
  const [, , key] = der.readSequence(info);
  if (info === undefined || key === undefined) throw unfit('has no key');
  if (algorithm === undefined || !algorithm.whole.equals(ECDSA_WITH_SHA256)) {
    throw unfit('is not signed with ECDSA and SHA-256');
  }
  const publicKey = parseKey(key.whole);
  if (!verify('sha256', info.whole, publicKey, der.readBitString(signature))) {
    throw unfit('is not signed by its own key');
  }
  return publicKey;
}

function parseKey(spki: Buffer): KeyObject {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: spki, type: 'spki', format: 'der' });
  } catch (cause) {
    throw unfit('has a key that cannot be read', cause);
  }
  if (key.asymmetricKeyDetails?.namedCurve !== CURVE) throw unfit('has a key not on curve P-256');
  return key;
}

function unfit(why: string, cause?: unknown): SwarmError {
  return new SwarmError('invalid-argument', `the signing request ${why}`, { cause });
}
