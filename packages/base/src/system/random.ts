/** Real chance and real identifiers. */
import { randomFillSync } from 'node:crypto';

import type { Ids, Random } from '../ports.ts';

export const systemRandom: Random = { next: () => Math.random() };

const ID_LENGTH = 25;
const ID_BYTES = 16;
/** Asking the system for chance costs more than all the rest of making an id. */
const pool = Buffer.alloc(256 * ID_BYTES);
let used = pool.length;

/** 128 random bits as 25 base36 digits, as Swarm writes its object ids. */
export const systemIds: Ids = {
  next: () => {
    if (used === pool.length) {
      randomFillSync(pool);
      used = 0;
    }
    const hex = pool.toString('hex', used, used + ID_BYTES);
    used += ID_BYTES;
    return BigInt(`0x${hex}`).toString(36).padStart(ID_LENGTH, '0');
  },
};
