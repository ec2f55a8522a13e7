/** Which images go by themselves, and why. */
import { array, assert, boolean, integer, property, record } from 'fast-check';
import { describe, expect, it } from 'vitest';

import { planCleanUp, type Candidate, type CleanUpView } from '../src/image/clean-up.ts';

const DAY = 24 * 3_600_000;
const NOW = 100 * DAY;
const POLICY = { unusedForMs: 30 * DAY, highPercent: 85, lowPercent: 80 };

const image = (reference: string, days: number, more: Partial<Candidate> = {}): Candidate => ({
  reference,
  usedAt: NOW - days * DAY,
  bytes: 10,
  used: false,
  ...more,
});
const view = (usedBytes: number, images: readonly Candidate[], blobBytes = 0): CleanUpView => ({
  now: NOW,
  disk: { totalBytes: 1_000, usedBytes },
  blobBytes,
  images,
});
const text = (plan: ReturnType<typeof planCleanUp>): string[] => [
  ...plan.images.map(({ reference, reason }) => `${reference}: ${reason}`),
  ...(plan.blobsReason === undefined ? [] : [`blobs: ${plan.blobsReason}`]),
];
const FULL = 'the disk is 90 % full, more than 85 %';

describe('cleaning up images', () => {
  it.each<[string, CleanUpView, string[]]>([
    ['nothing on a disk with room', view(800, [image('a', 1), image('b', 29)]), []],
    [
      'what was unused for long, but not what is used',
      view(0, [image('a', 31), image('b', 40, { used: true }), image('c', 29)]),
      ['a: unused for 744 hours'],
    ],
    [
      'the least recently used when the disk is short, until there is room',
      view(900, [
        image('new', 1, { bytes: 60 }),
        image('old', 9, { bytes: 60 }),
        image('older', 19, { bytes: 60 }),
        image('used', 29, { bytes: 500, used: true }),
      ]),
      [`older: ${FULL}`, `old: ${FULL}`],
    ],
    ['blobs before images', view(900, [image('a', 9)], 100), [`blobs: ${FULL}`]],
    ['blobs and images', view(900, [image('a', 9)], 95), [`a: ${FULL}`, `blobs: ${FULL}`]],
    [
      'no more than what age gives back already',
      view(900, [image('aged', 31, { bytes: 100 }), image('b', 9)]),
      ['aged: unused for 744 hours'],
    ],
  ])('removes %s', (_, given, expected) => {
    expect(text(planCleanUp(given, POLICY))).toEqual(expected);
  });

  it('removes nothing for its age when that is off, and never what is used', () => {
    const off = { unusedForMs: 0, highPercent: 100, lowPercent: 100 };
    expect(text(planCleanUp(view(1_000, [image('a', 99)]), off))).toEqual([]);
    const images = array(
      record({ days: integer({ min: 0, max: 99 }), used: boolean(), bytes: integer({ min: 0 }) }),
    );
    assert(
      property(images, integer({ min: 0, max: 1_000 }), (list, usedBytes) => {
        const all = list.map((one, index) => image(`${index}`, one.days, one));
        const plan = planCleanUp(view(usedBytes, all), POLICY);
        const gone = plan.images.map(({ reference }) => reference);
        expect(new Set(gone).size).toBe(gone.length);
        expect(all.filter(({ used, reference }) => used && gone.includes(reference))).toEqual([]);
      }),
    );
  });
});
