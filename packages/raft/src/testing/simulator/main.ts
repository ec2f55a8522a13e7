/** `npm run sim:raft`: see USAGE. Exits with 1 if a promise of Raft was broken. */
import { parseArgs } from 'node:util';
import { errorMessage } from '@swarmd/base';
import { systemClock } from '@swarmd/base/system';
import { runMutations } from '../mutations/run-mutations.ts';
import { runSeed, type SeedResult } from './run-seed.ts';

const USAGE = `usage: npm run sim:raft -- [--seed N [--trace]] [--seeds COUNT] [--minutes M]
  --seed N      play one seed (with --seeds or --minutes: the first one)
  --trace       print everything that happens
  --seeds N     play so many seeds (200)
  --minutes M   play seeds for so long
  --mutations   break the core in known ways; every one must be caught (--seeds: tries for each)
`;

const OPTIONS = {
  seed: { type: 'string' },
  seeds: { type: 'string' },
  minutes: { type: 'string' },
  trace: { type: 'boolean' },
  mutations: { type: 'boolean' },
} as const;

/** @throws Error for what is not a positive number. */
function positive(name: string, text: string): number {
  const value = Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  throw new Error(`--${name} needs a number above 0, not "${text}"`);
}

function report(result: SeedResult): boolean {
  if (!result.failure) return true;
  process.stdout.write(`seed ${result.seed}: ${result.failure.message}\n`);
  process.stdout.write(`play it again: npm run sim:raft -- --seed ${result.seed} --trace\n`);
  return false;
}

async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: OPTIONS });
  const { seed, seeds, minutes, trace, mutations } = values;
  const first = seed === undefined ? 1 : positive('seed', seed);
  const single = seed !== undefined && seeds === undefined && minutes === undefined;
  const count = seeds === undefined ? 200 : positive('seeds', seeds);
  if (mutations) return runMutations(count) ? 0 : 1;
  const end =
    minutes === undefined
      ? Infinity
      : systemClock.monotonic() + positive('minutes', minutes) * 60_000;
  const last = single ? first : minutes === undefined ? first + count - 1 : Infinity;
  const print = trace ? (line: string): void => void process.stdout.write(`${line}\n`) : undefined;
  const counts: Record<string, number> = {};
  const totals = { seeds: 0, failed: 0, quorumLost: 0, steps: 0, writes: 0, reads: 0 };
  for (let at = first; at <= last && systemClock.monotonic() < end; at++) {
    const result = await runSeed(at, { trace: print });
    for (const [what, count] of result.counts) counts[what] = (counts[what] ?? 0) + count;
    if (result.quorumLost) totals.quorumLost++;
    totals.seeds++;
    totals.steps += result.steps;
    totals.writes += result.writes;
    totals.reads += result.reads;
    if (!report(result)) totals.failed++;
  }
  process.stdout.write(`${JSON.stringify(totals)}\n${JSON.stringify(counts)}\n`);
  return totals.failed === 0 ? 0 : 1;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${errorMessage(error)}\n${USAGE}`);
  process.exitCode = 2;
}
