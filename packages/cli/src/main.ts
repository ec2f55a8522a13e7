/** swarmctl: the composition root of the command line. */
import { readFileSync } from 'node:fs';

import { errorMessage, SwarmError } from '@swarmd/base';
import { systemClock, systemIds, systemRandom } from '@swarmd/base/system';
import { openCluster, openDaemon, type ClusterClient, type DaemonClient } from '@swarmd/client';

import { requireManager } from './commands/swarm.ts';
import type { Context } from './context.ts';
import { fileCredentials } from './credentials.ts';
import { runProgram } from './program.ts';
import { runDirOf } from './run-dir.ts';
import { systemConsole } from './system-console.ts';

const STDIN = 0;
const REPEAT = { clock: systemClock, random: systemRandom, ids: systemIds };
const CALL_TIMEOUT_MS = 60_000;
/** Of a terminal that does not know its own width. */
const COLUMNS_DEFAULT = 80;

/** @param path "-" for standard input. */
function readFile(path: string): Uint8Array {
  try {
    return readFileSync(path === '-' ? STDIN : path);
  } catch (cause) {
    throw new SwarmError('invalid-argument', `cannot read the file: ${errorMessage(cause)}`, {
      cause,
    });
  }
}

async function main(argv: readonly string[]): Promise<number> {
  const controller = new AbortController();
  let onSignal: ((name: string) => void) | undefined;
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      if (onSignal === undefined) controller.abort(new SwarmError('cancelled', 'interrupted'));
      else onSignal(name);
    });
  }
  let isUnread = false;
  // A reader that goes away (`| head`) ends the command quietly.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    isUnread = error.code === 'EPIPE';
    if (isUnread) controller.abort(new SwarmError('cancelled', 'output was closed'));
    else throw error;
  });
  const call = { signal: controller.signal, timeoutMs: CALL_TIMEOUT_MS };
  await using connections = new AsyncDisposableStack();
  const runDir = runDirOf(argv, process.env['SWARMD_RUN_DIR']);
  let daemon: DaemonClient | undefined;
  let cluster: Promise<ClusterClient> | undefined;
  const context: Context = {
    random: systemRandom,
    terminal: {
      out: (text) => void process.stdout.write(text),
      err: (text) => void (isUnread || process.stderr.write(text)),
      interactive: process.stderr.isTTY,
      columns: () => process.stderr.columns || COLUMNS_DEFAULT,
      readFile,
      console: systemConsole(),
      onSignal: (listener) => {
        onSignal = listener;
        return { [Symbol.dispose]: () => (onSignal = undefined) };
      },
    },
    credentials: fileCredentials(process.env),
    clock: systemClock,
    call,
    daemon: () => (daemon ??= connections.use(openDaemon(runDir))),
    cluster: () =>
      (cluster ??= (async () => {
        const info = await context.daemon().local.info({}, call);
        return connections.use(openCluster(requireManager(info), REPEAT));
      })()),
  };
  return await runProgram(context, argv); // Connections close after it.
}

process.exitCode = await main(process.argv.slice(2));
