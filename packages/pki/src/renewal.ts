/** When to ask for the next certificate. */
import { X509Certificate } from 'node:crypto';

import type { Random } from '@swarmd/base';

import { BACKDATE_MS } from './authority.ts';

const EARLIEST = 0.5;
const LATEST = 0.8;

/**
 * Milliseconds from `now` until the certificate should be renewed: at a random point between half and
 * four fifths of its life, so that a cluster's nodes do not all come at once. 0 when that has passed.
 */
export function renewalDelayMs(options: {
  readonly certificatePem: string;
  readonly now: number;
  readonly random: Random;
}): number {
  const certificate = new X509Certificate(options.certificatePem);
  const issued = certificate.validFromDate.getTime() + BACKDATE_MS;
  const life = certificate.validToDate.getTime() - issued;
  const part = EARLIEST + (LATEST - EARLIEST) * options.random.next();
  return Math.max(0, Math.round(issued + life * part - options.now));
}
