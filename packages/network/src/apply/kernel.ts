/** The kernel through the worker, and through the programs of iproute2, nftables and conntrack. */
import { errorMessage, SwarmError } from '@swarmd/base';

import { withoutKeys } from '../desired/differences.ts';
import type { Step } from '../desired/step.ts';
import { scriptOf } from './script.ts';
import { openShell } from './shell.ts';
import { jobOf, openWorker, type Job } from './worker.ts';

/** Enough to see which objects it was about. */
const INPUT_IN_ERRORS_CHARS = 1_000;

/** One of each for this process: they have no state but what they do. */
const shell = openShell();
const worker = openWorker();
/** The kernel waits 20 ms for the readers of each link that is removed: nobody else shall. */
const remover = openWorker();

/** Found out once: a node that was upgraded by its files alone may lack LuaJIT. All goes on, by programs. */
let lacksWorker = false;

/** Does the steps in order. @throws SwarmError with what failed and why. */
export async function runSteps(steps: readonly Step[]): Promise<void> {
  const job = lacksWorker ? undefined : jobOf(steps);
  if (job === undefined) return runScript(steps);
  if (job.bytes.length === 0) return;
  const isRemoval = steps.some(({ kind }) => kind === 'delete-links');
  try {
    await (isRemoval ? remover : worker).run(job.bytes);
  } catch (cause) {
    if (!isMissing(cause)) throw explained(cause, job);
    lacksWorker = true;
    await runScript(steps);
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof SwarmError && error.code === 'failed-precondition';
}

function explained(cause: unknown, { what }: Job): SwarmError {
  const message = errorMessage(cause);
  // "exit code 1: 7 File exists": the seventh of its operations.
  const [, number, why = message] = /^exit code 1: (\d+) ([^]*)$/.exec(message) ?? [];
  const about = withoutKeys(what[Number(number) - 1] ?? what.join('\n'));
  const input = about.slice(0, INPUT_IN_ERRORS_CHARS);
  return new SwarmError('internal', `${why} in:\n${input}`, { cause });
}

async function runScript(steps: readonly Step[]): Promise<void> {
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
