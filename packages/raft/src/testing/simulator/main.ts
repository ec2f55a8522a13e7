/** `npm run sim:raft`: see USAGE. Exits with 1 if a promise of Raft was broken. */
import { parseArgs } from 'node:util';

import { errorMessage } from '@swarmd/base';
import { playSeeds, positive, SEED_OPTIONS, SEED_USAGE } from '@swarmd/base/testing';

import { runMutations } from '../mutations/run-mutations.ts';
import { runSeed } from './run-seed.ts';

const USAGE = `usage: npm run sim:raft -- [--seed N [--trace]] [--seeds COUNT] [--minutes M]
${SEED_USAGE}  --mutations   break the core in known ways; every one must be caught (--seeds: tries for each)
`;

const OPTIONS = { ...SEED_OPTIONS, mutations: { type: 'boolean' } } as const;
const USUAL_SEEDS = 200;

async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: OPTIONS });
  if (values.mutations) {
    const tries = values.seeds === undefined ? USUAL_SEEDS : positive('seeds', values.seeds);
    return runMutations(tries) ? 0 : 1;
  }
  const counts: Record<string, number> = {};
  const totals = { quorumLost: 0, steps: 0, writes: 0, reads: 0 };
  const played = await playSeeds(values, {
    command: 'npm run sim:raft --',
    usual: USUAL_SEEDS,
    play: async (seed, trace) => {
      const result = await runSeed(seed, { trace });
      for (const [what, count] of result.counts) counts[what] = (counts[what] ?? 0) + count;
      if (result.quorumLost) totals.quorumLost += 1;
      totals.steps += result.steps;
      totals.writes += result.writes;
      totals.reads += result.reads;
      return result.failure?.message;
    },
  });
  process.stdout.write(`${JSON.stringify({ ...played, ...totals })}\n${JSON.stringify(counts)}\n`);
  return played.failed === 0 ? 0 : 1;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${errorMessage(error)}\n${USAGE}`);
  process.exitCode = 2;
}
