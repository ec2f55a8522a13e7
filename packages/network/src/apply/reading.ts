/**
 * Looking at the kernel: at rules by a worker of its own, which keeps nobody from programming, at the rest by
 * programs that shells start: from the daemon itself each would cost its only thread 3 ms.
 */
import { errorCode, orAborted } from '@swarmd/base';

import { openReader, openShell } from './shell.ts';
import { listJob, openWorker, scratchJob } from './worker.ts';

const looker = openWorker();
/** Instead of it, where there is no LuaJIT. */
const reader = openReader();
let lacksLooker = false;

/** Of their own: what waits for an answer from elsewhere keeps nobody from programming. */
const askers = openShell();

/** How the kernel lists a table, "ip swarmd". @throws SwarmError `internal` with what was said, e.g. that there is none. */
export function listRules(
  table: string,
  { netns, signal }: { netns: string | undefined; signal: AbortSignal },
): Promise<string> {
  const enter = netns === undefined ? '' : `nsenter --net=/run/netns/${netns} `;
  return listed(listJob(table, netns), `${enter}nft -s list table ${table}`, signal);
}

/** How the kernel would list what a program makes. */
export function listInScratch(program: string, signal: AbortSignal): Promise<string> {
  const script = `unshare --net sh -c 'nft -f - && nft -s list ruleset' <<'E'\n${program}E`;
  return listed(scratchJob(program), script, signal);
}

async function listed(job: Buffer, script: string, signal: AbortSignal): Promise<string> {
  if (!lacksLooker) {
    try {
      return await orAborted(looker.run(job), signal);
    } catch (error) {
      if (errorCode(error) !== 'failed-precondition') throw error;
      lacksLooker = true;
    }
  }
  return orAborted(reader.run(script), signal);
}

/** Runs a script that waits for others. @throws SwarmError `internal` with what it said. */
export async function asks(script: string, signal: AbortSignal): Promise<void> {
  await orAborted(askers.run(script), signal);
}
