/** The kernel through the programs of iproute2, nftables and conntrack. */
import { errorMessage, SwarmError } from '@swarmd/base';
import { run } from '@swarmd/base/system';

import { withoutKeys } from '../desired/differences.ts';
import type { Step } from '../desired/step.ts';
import { scriptOf } from './script.ts';
import { Shell } from './shell.ts';

/** Enough to see which objects it was about. */
const INPUT_IN_ERRORS_CHARS = 1_000;

/** One for this process: it has no state but what it runs. */
const shell = new Shell();

/** Runs the steps in order. @throws SwarmError with what the failing program said. */
export async function runSteps(steps: readonly Step[]): Promise<void> {
  const script = scriptOf(steps);
  if (script === '') return;
  try {
    await shell.run(script);
  } catch (cause) {
    // The programs only name the number of the line that failed.
    const input = withoutKeys(script).slice(0, INPUT_IN_ERRORS_CHARS);
    throw new SwarmError('internal', `${errorMessage(cause)} in:\n${input}`, { cause });
  }
}

/** The JSON that a listing prints; an empty list when it prints nothing. */
export async function listJson<T>(program: 'ip' | 'bridge', args: readonly string[]): Promise<T[]> {
  const { stdout } = await run(program, ['-j', ...args]);
  return stdout.trim() === '' ? [] : (JSON.parse(stdout) as T[]);
}

/** Names of all network namespaces that are mounted in our mount namespace. */
export async function listNetns(): Promise<string[]> {
  const namespaces = await listJson<{ name: string }>('ip', ['netns', 'list']);
  return namespaces.map(({ name }) => name);
}
