/** swarmctl: the composition root of the command line. */
import { readFileSync } from 'node:fs';

import { SwarmError } from '@swarmd/base';
import { systemClock } from '@swarmd/base/system';
import { openCluster, openDaemon, type ClusterClient, type DaemonClient } from '@swarmd/client';

import { requireManager } from './commands/swarm.ts';
import type { Context } from './context.ts';
import { runProgram } from './program.ts';

const STDIN = 0;
const CALL_TIMEOUT_MS = 60_000;

/** The sockets' folder must be known before commander parses, since connections are made lazily. */
function runDirOf(argv: readonly string[]): string {
  const at = argv.indexOf('--run-dir');
  const joined = argv.find((word) => word.startsWith('--run-dir='));
  return (
    (at >= 0 ? argv[at + 1] : joined?.slice('--run-dir='.length)) ??
    process.env['SWARMD_RUN_DIR'] ??
    '/run/swarmd'
  );
}

async function main(argv: readonly string[]): Promise<number> {
  const controller = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => controller.abort(new SwarmError('cancelled', 'interrupted')));
  }
  // A reader that goes away (`| head`) ends the command quietly.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') controller.abort(new SwarmError('cancelled', 'output was closed'));
    else throw error;
  });
  const call = { signal: controller.signal, timeoutMs: CALL_TIMEOUT_MS };
  await using connections = new AsyncDisposableStack();
  const runDir = runDirOf(argv);
  let daemon: DaemonClient | undefined;
  let cluster: Promise<ClusterClient> | undefined;
  const context: Context = {
    terminal: {
      out: (text) => void process.stdout.write(text),
      err: (text) => void process.stderr.write(text),
      interactive: process.stderr.isTTY,
      readFile: (path) => readFileSync(path === '-' ? STDIN : path),
    },
    clock: systemClock,
    call,
    daemon: () => (daemon ??= connections.use(openDaemon(runDir))),
    cluster: () =>
      (cluster ??= (async () => {
        const info = await context.daemon().local.info({}, call);
        return connections.use(openCluster(requireManager(info)));
      })()),
  };
  return await runProgram(context, argv); // Connections close after it.
}

process.exitCode = await main(process.argv.slice(2));
