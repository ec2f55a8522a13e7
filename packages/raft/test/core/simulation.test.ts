/**
 * Whole groups under faults, from seeds: real replicas with their real log, on simulated disks,
 * network and clocks. A failing seed is played again with `npm run sim:raft -- --seed N --trace`.
 */
import { expect, test } from 'vitest';

import { runSeed } from '../../src/testing/simulator/run-seed.ts';
import { MOMENTS } from '../../src/testing/simulator/sim-member.ts';

const SEEDS = 200;
const CHUNK = 25;

const counts = new Map<string, number>();

test.each(Array.from({ length: SEEDS / CHUNK }, (_, chunk) => chunk * CHUNK + 1))(
  `28: seeds from %i on (${CHUNK}) keep every promise, and all apply the same`,
  async (first) => {
    const results = [];
    for (let at = 0; at < CHUNK; at++) results.push(await runSeed(first + at));
    expect(results.filter((result) => result.failure)).toEqual([]);
    // A simulation in which nothing happens would pass as well.
    expect(results.reduce((sum, result) => sum + result.writes, 0)).toBeGreaterThan(20 * CHUNK);
    expect(results.filter((result) => result.quorumLost).length).toBeLessThan(CHUNK / 3);
    for (const result of results) {
      for (const [what, count] of result.counts) counts.set(what, (counts.get(what) ?? 0) + count);
    }
  },
  // Generous: on a busy machine the work takes several times as long.
  120_000,
);

const TROUBLE = [
  'partition',
  'pause',
  'crash (kill)',
  'crash (power)',
  'slow disk',
  'hanging disk',
  'full disk',
  'disk failed',
  'damage found',
  'busy main thread',
  'snapshot installed',
  'removed',
  ...MOMENTS.map((moment) => `crash at ${moment}`),
];

test.each(TROUBLE)('42/43/58/60-63/65-67: %s has happened in these seeds', (what) => {
  expect(counts.get(what) ?? 0).toBeGreaterThan(0);
});

test('49: snapshots all the time under ten times the load cost no election', async () => {
  const quiet = { drop: 0, duplicate: 0, maxDelayMs: 20 };
  const plan = {
    voters: [1, 2, 3],
    faultyMs: 4_000,
    network: quiet,
    garble: 0,
    faultEveryMs: Infinity,
    changeEveryMs: 0,
    clockDrift: 0,
    maxDiskMs: 5,
    databaseMs: 0,
    writeEveryMs: 3,
    snapshotEvery: 5,
    limits: { snapshotTicks: 20 },
  };
  const { failure, terms, writes, counts: happened } = await runSeed(1, { plan });
  // The founders' first election, and no other.
  expect({ failure, terms }).toEqual({ failure: undefined, terms: 2 });
  expect(writes).toBeGreaterThan(600);
  expect(happened.get('snapshot taken')).toBeGreaterThan(100);
}, 120_000);

test('the same seed plays the same story', async () => {
  const story = async (): Promise<string[]> => {
    const lines: string[] = [];
    await runSeed(7, { trace: (line) => lines.push(line) });
    return lines;
  };
  const first = await story();
  expect(first.length).toBeGreaterThan(100);
  expect(await story()).toEqual(first);
});
