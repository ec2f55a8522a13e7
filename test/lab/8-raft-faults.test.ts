/**
 * Five real managers under faults, with clients at all of them: the short form of `npm run lab:raft`. It
 * has a lab of its own, whose hosts have disks that can be spoiled.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { Lab } from '@swarmd/lab';

import { runFaults } from './faults/run.ts';
import { LAB_NAME } from './support.ts';

const DISK_MIB = 256;
const UP_MS = 240_000;
const RUN_MS = 300_000;

const lab = new Lab({ name: `${LAB_NAME}r`, managers: 5, workers: 0, diskMiB: DISK_MIB });

beforeAll(async () => {
  await lab.down();
  await lab.up();
}, UP_MS);

afterAll(() => lab.down(), UP_MS);

describe('what clients of real managers see is linearizable, and nothing acknowledged is lost', () => {
  it.each([
    {
      name: 'scenario 1, 58, 65: kill -9 of some, and of all at once',
      faults: ['crash', 'all-crash'],
    },
    { name: 'scenario 26, 66: partitions, full and one-way', faults: ['partition', 'one-way'] },
    { name: 'scenario 50, 67: frozen managers', faults: ['stop'] },
    { name: 'scenario 62, 63: a disk that hangs, and a full one', faults: ['hang', 'fill'] },
  ])(
    '$name',
    async ({ faults }) => {
      const { violations, counts } = await runFaults({
        lab,
        seed: faults.length,
        faults,
        registers: 4,
        faultMs: { least: 3_000, more: 0 },
        quietMs: { least: 1_000, more: 0 },
        say: () => undefined,
      });
      expect(violations).toEqual([]);
      // Clients that are always refused would see nothing wrong.
      expect(counts.changes).toBeGreaterThan(5);
      expect(counts.reads).toBeGreaterThan(10);
    },
    RUN_MS,
  );
});
