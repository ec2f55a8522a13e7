/** Lets the suite judge every mutation in a process of its own, and prints the table. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { MUTATIONS } from './mutations.ts';

const HERE = import.meta.dirname;
/** A mutation that makes the core spin must not stop the table. */
const TIMEOUT_MS = 300_000;

/** True if every mutation was caught. `seeds`: how many may be tried for each. */
export function runMutations(seeds: number): boolean {
  let missed = 0;
  for (const { name, scenario } of MUTATIONS) {
    const result = spawnSync(process.execPath, [join(HERE, 'main.ts'), String(seeds)], {
      env: { ...process.env, RAFT_MUTATION: name },
      encoding: 'utf8',
      timeout: TIMEOUT_MS,
    });
    const verdict = verdictOf(result);
    if (!verdict.caught) missed++;
    const label = scenario === undefined ? '   ' : `#${scenario}`.padEnd(3);
    process.stdout.write(
      `${verdict.caught ? 'caught' : 'MISSED'} ${label} ${name}: ${verdict.how}\n`,
    );
  }
  process.stdout.write(`${MUTATIONS.length - missed} of ${MUTATIONS.length} caught\n`);
  return missed === 0;
}

function verdictOf(result: { status: number | null; stdout: string; stderr: string }): {
  caught: boolean;
  how: string;
} {
  const how = result.stdout.trim();
  if (result.status === 1 && how !== '') return { caught: true, how };
  if (result.status === 0) return { caught: false, how };
  return { caught: false, how: `could not run: ${result.stderr.trim().slice(0, 500)}` };
}
