/**
 * Join tokens: SWMTKN-1-DIGEST-SECRET, as Swarm has them. DIGEST is the SHA-256 of the cluster's root
 * certificate, so that a joiner knows the right cluster; SECRET lets it in, in one role.
 */
import { createHash, randomBytes, timingSafeEqual, X509Certificate } from 'node:crypto';

import { SwarmError } from '@swarmd/base';
import type { JoinTokens, NodeRole } from '@swarmd/model';

const TOKEN = /^SWMTKN-1-([0-9a-z]{50})-([0-9a-z]{25})$/;
/** Digits of 256 and of 128 bits in base 36. */
const DIGEST_LENGTH = 50;
const SECRET_LENGTH = 25;
const SECRET_BYTES = 16;

/** A token with a new secret for the cluster with this root. */
export function createJoinToken(caPem: string): string {
  const secret = base36(randomBytes(SECRET_BYTES), SECRET_LENGTH);
  return `SWMTKN-1-${caDigest(new X509Certificate(caPem))}-${secret}`;
}

/** @throws SwarmError `invalid-argument` when it is no join token. */
export function parseJoinToken(token: string): { caDigest: string; secret: string } {
  const [, digest, secret] = TOKEN.exec(token.trim()) ?? [];
  if (digest === undefined || secret === undefined) {
    throw new SwarmError(
      'invalid-argument',
      'this is no join token (SWMTKN-1-...); get one on a manager with: swarmctl swarm join-token worker',
    );
  }
  return { caDigest: digest, secret };
}

/** The role that a token gives, undefined when it is none of the cluster's. Takes constant time. */
export function roleOfToken(token: string, tokens: JoinTokens): NodeRole | undefined {
  const manager = sameText(token, tokens.manager);
  const worker = sameText(token, tokens.worker);
  return manager ? 'manager' : worker ? 'worker' : undefined;
}

/** As join tokens have it. */
export function caDigest(root: X509Certificate): string {
  return base36(createHash('sha256').update(root.raw).digest(), DIGEST_LENGTH);
}

function base36(bytes: Buffer, length: number): string {
  return BigInt(`0x${bytes.toString('hex')}`)
    .toString(36)
    .padStart(length, '0');
}

/** Digests are compared, so that neither the contents nor the length tell by their time. */
function sameText(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}
