/** npm run lab:raft: real managers under faults by chance, for as long as one likes. */
import { parseArgs } from 'node:util';

import { Lab } from '@swarmd/lab';

import { FAULTS } from './nemesis.ts';
import { runFaults } from './run.ts';

const USAGE = `Usage: npm run lab:raft -- [--managers 5] [--minutes 5] [--seed N] [--fault NAME]... [--name raft] [--keep]

  Makes a lab, lets clients read and write through every manager while faults come and go, and checks
  that what they saw is linearizable and that nothing acknowledged is lost. Exits 1 if it is not.
  --fault   these, in this order, instead of any by chance: ${Object.keys(FAULTS).join(' ')}
`;
const DISK_MIB = 512;

const { values } = parseArgs({
  options: {
    managers: { type: 'string', default: '5' },
    minutes: { type: 'string', default: '5' },
    seed: { type: 'string', default: '1' },
    fault: { type: 'string', multiple: true },
    name: { type: 'string', default: 'raft' },
    keep: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

const say = (line: string): void => void process.stdout.write(`${line}\n`);

async function main(): Promise<number> {
  const managers = Number(values.managers);
  const seed = Number(values.seed);
  const lab = new Lab({ name: values.name, managers, workers: 0, diskMiB: DISK_MIB });
  await lab.down();
  let failed = true;
  try {
    await lab.up();
    say(`${managers} managers, seed ${seed}`);
    const { violations, counts, faults } = await runFaults({
      lab,
      seed,
      faults: values.fault ?? { forMs: Number(values.minutes) * 60_000 },
      registers: 8,
      faultMs: { least: 2_000, more: 6_000 },
      quietMs: { least: 2_000, more: 4_000 },
      say,
    });
    say(JSON.stringify({ managers, seed, faults, ...counts, violations }));
    failed = violations.length > 0;
  } finally {
    if (!values.keep) await lab.down();
  }
  return failed ? 1 : 0;
}

if (values.help) process.stdout.write(USAGE);
else process.exitCode = await main();
