/** `npm run sim:cluster`: see USAGE. Exits with 1 if a promise of the orchestrator was broken. */
import { parseArgs } from 'node:util';

import { errorMessage } from '@swarmd/base';
import { systemClock } from '@swarmd/base/system';

import { runSeed } from './run-seed.ts';

const USAGE = `usage: npm run sim:cluster -- [--seed N [--trace]] [--seeds COUNT] [--minutes M] [--nodes COUNT]
  --seed N      play one seed (with --seeds or --minutes: the first one)
  --trace       print everything that happens
  --seeds N     play so many seeds (100)
  --minutes M   play seeds for so long
  --nodes N     machines, three of them managers; by the seed unless given
`;

const OPTIONS = {
  seed: { type: 'string' },
  seeds: { type: 'string' },
  minutes: { type: 'string' },
  nodes: { type: 'string' },
  trace: { type: 'boolean' },
} as const;

/** @throws Error for what is not a positive number. */
function positive(name: string, text: string): number {
  const value = Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  throw new Error(`--${name} needs a number above 0, not "${text}"`);
}

async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: OPTIONS });
  const { seed, seeds, minutes, nodes, trace } = values;
  const first = seed === undefined ? 1 : positive('seed', seed);
  const count = seeds === undefined ? (seed === undefined ? 100 : 1) : positive('seeds', seeds);
  const started = systemClock.monotonic();
  const end = minutes === undefined ? Infinity : started + positive('minutes', minutes) * 60_000;
  const last = minutes === undefined ? first + count - 1 : Infinity;
  const options = {
    ...(nodes === undefined ? {} : { nodes: positive('nodes', nodes) }),
    ...(trace ? { trace: (line: string) => void process.stdout.write(`${line}\n`) } : {}),
  };
  const totals = { seeds: 0, failed: 0, steps: 0, commits: 0, tasks: 0, settledMsMax: 0 };
  for (let at = first; at <= last && systemClock.monotonic() < end; at += 1) {
    const result = await runSeed(at, options);
    totals.seeds += 1;
    totals.steps += result.steps;
    totals.commits += result.commits;
    totals.tasks += result.tasks;
    totals.settledMsMax = Math.max(totals.settledMsMax, result.settledMs ?? 0);
    if (result.failure === undefined) continue;
    totals.failed += 1;
    const again = nodes === undefined ? '' : ` --nodes ${nodes}`;
    process.stdout.write(`seed ${at}: ${result.failure.rule}: ${result.failure.message}\n`);
    process.stdout.write(`play it again: npm run sim:cluster -- --seed ${at}${again} --trace\n`);
  }
  const tookMs = Math.round(systemClock.monotonic() - started);
  process.stdout.write(`${JSON.stringify({ ...totals, tookMs })}\n`);
  return totals.failed === 0 ? 0 : 1;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${errorMessage(error)}\n${USAGE}`);
  process.exitCode = 2;
}
