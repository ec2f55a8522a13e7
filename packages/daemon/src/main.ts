/** `swarmd`: the command. With a hidden argument the same program is the manager process. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { errorMessage, SwarmError } from '@swarmd/base';
import { systemClock } from '@swarmd/base/system';

import { parseFlags, USAGE } from './config/flags.ts';
import { settle, type GivenSettings, type Settings } from './config/settings.ts';
import { tuneHeap } from './heap.ts';
import { SHUTDOWN_MAX_MS } from './limits.ts';
import { MANAGER_ARGUMENT } from './manager/protocol.ts';
import { VERSION } from './version.ts';

const DEFAULT_CONFIG = '/etc/swarmd/swarmd.json';
const EXIT_USAGE = 2;

process.exitCode = await main(process.argv.slice(2));
// Whatever still holds a handle has had its time to stop.
process.exit();

async function main(args: readonly string[]): Promise<number> {
  if (args[0] === MANAGER_ARGUMENT) {
    // Loaded only here: an agent needs none of it in memory.
    const { runManagerChild } = await import('./manager/manager-child.ts');
    return runManagerChild();
  }
  let settings: Settings | undefined;
  try {
    settings = await readSettings(args);
  } catch (error) {
    process.stderr.write(`swarmd: ${errorMessage(error)}\n`);
    return error instanceof SwarmError ? EXIT_USAGE : 1;
  }
  // The agent is a small process on every machine: its young generation stays at its first size.
  using _heap = tuneHeap(systemClock, { youngGrows: false, busyLooks: 3 });
  return settings === undefined ? 0 : await runDaemon(settings);
}

/** Undefined when the question was answered. */
async function readSettings(args: readonly string[]): Promise<Settings | undefined> {
  const flags = parseFlags(args);
  if (flags.help || flags.version) {
    process.stdout.write(flags.help ? USAGE : `swarmd ${VERSION}\n`);
    return undefined;
  }
  const path = flags.config ?? (existsSync(DEFAULT_CONFIG) ? DEFAULT_CONFIG : undefined);
  return settle(path === undefined ? {} : await fromFile(path), flags.settings);
}

async function fromFile(path: string): Promise<GivenSettings> {
  const { readConfigFile } = await import('./config/file.ts');
  return readConfigFile(path);
}

async function runDaemon(settings: Settings): Promise<number> {
  const { createLogger } = await import('./logger.ts');
  const { startDaemon } = await import('./daemon.ts');
  const logger = createLogger(settings.logLevel);
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      logger.info({ signal }, 'stopping');
      stop.abort();
      systemClock.after(SHUTDOWN_MAX_MS, () => process.exit(1), { unref: true });
    });
  }
  try {
    await using _daemon = await startDaemon(settings, fileURLToPath(import.meta.url), logger);
    logger.info({ version: VERSION, runDir: settings.runDir }, 'swarmd serves');
    await new Promise<void>((resolve) => {
      if (stop.signal.aborted) resolve();
      else stop.signal.addEventListener('abort', () => resolve(), { once: true });
    });
  } catch (error) {
    logger.error({ error: errorMessage(error) }, 'swarmd failed');
    return 1;
  }
  logger.info({}, 'swarmd stopped');
  return 0;
}
