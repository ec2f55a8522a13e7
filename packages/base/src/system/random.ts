/** Real chance and real identifiers. */
import { randomBytes } from 'node:crypto';

import type { Ids, Random } from '../ports.ts';

export const systemRandom: Random = { next: () => Math.random() };

const ID_LENGTH = 25;

/** 128 random bits as 25 base36 digits, as Swarm writes its object ids. */
export const systemIds: Ids = {
  next: () =>
    BigInt(`0x${randomBytes(16).toString('hex')}`)
      .toString(36)
      .padStart(ID_LENGTH, '0'),
};
