/** `npm run sim:cluster`: see USAGE. Exits with 1 if a promise of the orchestrator was broken. */
import { parseArgs } from 'node:util';

import { errorMessage } from '@swarmd/base';
import { playSeeds, positive, SEED_OPTIONS, SEED_USAGE } from '@swarmd/base/testing';

import { runMutations } from '../mutations/run-mutations.ts';
import { runSeed } from './run-seed.ts';

const USAGE = `usage: npm run sim:cluster -- [--seed N [--trace]] [--seeds COUNT] [--minutes M] [--nodes COUNT]
       npm run sim:cluster -- --mutations [--quick]
${SEED_USAGE}  --nodes N     machines, three of them managers; by the seed unless given
  --mutations   do things too late, or remember what is over, in known ways; every one must be caught
  --quick       of these, only what falls due
`;

const OPTIONS = {
  ...SEED_OPTIONS,
  nodes: { type: 'string' },
  mutations: { type: 'boolean' },
  quick: { type: 'boolean' },
} as const;
const USUAL_SEEDS = 100;

async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: OPTIONS });
  if (values.mutations) return (await runMutations({ quick: values.quick === true })) ? 0 : 1;
  const size = values.nodes === undefined ? {} : { nodes: positive('nodes', values.nodes) };
  const again = values.nodes === undefined ? '' : ` --nodes ${values.nodes}`;
  const totals = { steps: 0, commits: 0, tasks: 0, settledMsMax: 0 };
  const played = await playSeeds(values, {
    command: `npm run sim:cluster --${again}`,
    usual: USUAL_SEEDS,
    play: async (seed, trace) => {
      const result = await runSeed(seed, { ...size, ...(trace && { trace }) });
      totals.steps += result.steps;
      totals.commits += result.commits;
      totals.tasks += result.tasks;
      totals.settledMsMax = Math.max(totals.settledMsMax, result.settledMs ?? 0);
      return result.failure && `${result.failure.rule}: ${result.failure.message}`;
    },
  });
  process.stdout.write(`${JSON.stringify({ ...played, ...totals })}\n`);
  return played.failed === 0 ? 0 : 1;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${errorMessage(error)}\n${USAGE}`);
  process.exitCode = 2;
}
