/** Hashes that are the same on every node and in every version: names and choices depend on them. */

/** 53 bits of a text (cyrb53). */
export function hashOf(text: string): number {
  let low = 0xdeadbeef;
  let high = 0x41c6ce57;
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    low = Math.imul(low ^ code, 2_654_435_761);
    high = Math.imul(high ^ code, 1_597_334_677);
  }
  low =
    Math.imul(low ^ (low >>> 16), 2_246_822_507) ^ Math.imul(high ^ (high >>> 13), 3_266_489_909);
  high =
    Math.imul(high ^ (high >>> 16), 2_246_822_507) ^ Math.imul(low ^ (low >>> 13), 3_266_489_909);
  return 4_294_967_296 * (2_097_151 & high) + (low >>> 0);
}

/**
 * Which item each of `slots` slots belongs to, by the highest score of item and slot (rendezvous
 * hashing): when an item goes, only its slots change hands, and one that comes takes its share of
 * everybody's. @returns for each slot the item's position.
 */
export function shareSlots(items: readonly string[], slots: number): number[] {
  const seeds = items.map((item) => hashOf(item) | 0);
  return Array.from({ length: slots }, (_, slot) => {
    let winner = 0;
    let best = -1;
    for (const [position, seed] of seeds.entries()) {
      const score = mix(seed ^ Math.imul(slot + 1, 0x9e37_79b1));
      if (score > best) [winner, best] = [position, score];
    }
    return winner;
  });
}

/** The last step of MurmurHash3: every bit of the result depends on every bit of the value. */
function mix(value: number): number {
  let h = value;
  h = Math.imul(h ^ (h >>> 16), 0x85eb_ca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
