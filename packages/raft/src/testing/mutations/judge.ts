/** What must notice a broken core: our scripts, damage to a log, quick tests, then seeds of the simulator. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { differencesOf, runScript } from '../script/run-script.ts';
import { unnoticedFlips } from '../simulator/flip-everything.ts';
import { runSeed } from '../simulator/run-seed.ts';
import type { Mutation } from './mutations.ts';
import { failingTest } from './unit-tests.ts';

const SCRIPTS = join(import.meta.dirname, '../../../testdata/scripts');

/** The first thing that fails, undefined if nothing does. Tries at most `seeds` seeds. */
export async function caughtBy(mutation: Mutation, seeds: number): Promise<string | undefined> {
  for (const name of readdirSync(SCRIPTS)) {
    const results = runScript(readFileSync(join(SCRIPTS, name), 'utf8'));
    if (differencesOf(results).length > 0) return `script ${name}`;
  }
  const [unnoticed] = await unnoticedFlips();
  if (unnoticed !== undefined) return `damage: ${unnoticed}`;
  const test = await failingTest(mutation);
  if (test !== undefined) return `test ${test}`;
  for (let seed = 1; seed <= seeds; seed++) {
    const { failure } = await runSeed(seed);
    if (failure) return `seed ${seed}: ${failure.message.split('\n')[0]}`;
  }
  return undefined;
}
