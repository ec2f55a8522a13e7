/** Lets the suite judge every mutation in a process of its own, and prints the table. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { CONTROL, MUTATIONS, type Mutation } from './mutations.ts';

const HERE = import.meta.dirname;
/** A mutation that makes the core spin must not stop the table. */
const TIMEOUT_MS = 300_000;
/** Seeds take long, and are tried without mistakes elsewhere. */
const CONTROL_SEEDS = 2;

/** True if every mutation was caught. `seeds`: how many may be tried for each. */
export function runMutations(seeds: number): boolean {
  const control = judge(CONTROL, CONTROL_SEEDS);
  if (control.caught || !control.ran) {
    process.stdout.write(`the suite fails without a mistake: ${control.how}\n`);
    return false;
  }
  let missed = 0;
  for (const mutation of MUTATIONS) {
    const { name, scenario } = mutation;
    const verdict = judge(mutation, seeds);
    if (!verdict.caught) missed++;
    const label = scenario === undefined ? '   ' : `#${scenario}`.padEnd(3);
    process.stdout.write(
      `${verdict.caught ? 'caught' : 'MISSED'} ${label} ${name}: ${verdict.how}\n`,
    );
  }
  process.stdout.write(`${MUTATIONS.length - missed} of ${MUTATIONS.length} caught\n`);
  return missed === 0;
}

interface Verdict {
  readonly caught: boolean;
  readonly ran: boolean;
  readonly how: string;
}

function judge({ name }: Mutation, seeds: number): Verdict {
  const result = spawnSync(process.execPath, [join(HERE, 'main.ts'), String(seeds)], {
    env: { ...process.env, RAFT_MUTATION: name },
    encoding: 'utf8',
    timeout: TIMEOUT_MS,
  });
  const how = result.stdout.trim();
  if (result.status === 1 && how !== '') return { caught: true, ran: true, how };
  if (result.status === 0) return { caught: false, ran: true, how };
  const why = result.stderr.trim().slice(0, 500);
  return { caught: false, ran: false, how: `could not run: ${why}` };
}
