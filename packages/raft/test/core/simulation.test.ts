/** Whole groups under faults, from seeds. A failing seed is played again with `npm run sim:raft`. */
import { expect, test } from 'vitest';
import { runSeed } from '../../src/testing/simulator/run-seed.ts';

const SEEDS = 200;
const CHUNK = 25;

test.each(Array.from({ length: SEEDS / CHUNK }, (_, chunk) => chunk * CHUNK + 1))(
  `seeds from %i on (${CHUNK}) keep every promise`,
  async (first) => {
    const results = [];
    for (let at = 0; at < CHUNK; at++) results.push(await runSeed(first + at));
    expect(results.filter((result) => result.failure)).toEqual([]);
    // A simulation in which nothing happens would pass as well.
    expect(results.reduce((sum, result) => sum + result.writes, 0)).toBeGreaterThan(20 * CHUNK);
  },
  // Generous: on a busy machine the work takes several times as long.
  120_000,
);

test('the same seed plays the same story', async () => {
  const story = async (): Promise<string[]> => {
    const lines: string[] = [];
    await runSeed(7, (line) => lines.push(line));
    return lines;
  };
  const first = await story();
  expect(first.length).toBeGreaterThan(100);
  expect(await story()).toEqual(first);
});
