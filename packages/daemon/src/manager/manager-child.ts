/**
 * The manager process: everything of `@swarmd/manager` lives here and is loaded nowhere else. It
 * stops when it is told to, and when the daemon that started it is gone.
 */
import { abortReason, assert, errorCode, errorMessage, type Logger } from '@swarmd/base';
import { systemClock, systemIds, systemRandom } from '@swarmd/base/system';
import { startManager, type Manager } from '@swarmd/manager';
import { RAFT_TIMINGS } from '@swarmd/raft';

import { SHUTDOWN_MAX_MS } from '../limits.ts';
import { createLogger } from '../logger.ts';
import { tuneHeap } from '../heap.ts';
import type { FromManager, ManagerStart, ToManager } from './protocol.ts';
import { reportWork } from './work-report.ts';

/** Runs until it is told to stop. @returns the process's exit code. */
export async function runManagerChild(): Promise<number> {
  const stop = new AbortController();
  process.on('disconnect', () => stop.abort());
  process.on('SIGTERM', () => stop.abort());
  // Ctrl-C reaches the whole process group; the daemon decides what it means.
  process.on('SIGINT', () => undefined);
  const start = await firstMessage(stop.signal);
  const logger = createLogger(start.logLevel).child({ process: 'manager' });
  using _heap = tuneHeap(systemClock, { youngGrows: true, busyLooks: 1 });
  using working = reportWork(
    systemClock,
    () => process.resourceUsage(),
    () => say({ kind: 'working' }),
  );
  try {
    await using manager = await startManager({
      ...managerOptions(start),
      clock: systemClock,
      random: systemRandom,
      ids: systemIds,
      logger,
    });
    working[Symbol.dispose]();
    follow(manager, stop);
    say({ kind: 'ready' });
    logger.info({ cluster: start.clusterId, raft: start.raftStart }, 'manager serves');
    await Promise.race([aborted(stop.signal), manager.failed]);
    systemClock.after(SHUTDOWN_MAX_MS, () => process.exit(1), { unref: true });
  } catch (error) {
    return failed(error, logger);
  }
  logger.info({}, 'manager stopped');
  return 0;
}

function managerOptions(start: ManagerStart) {
  const {
    raftStart,
    credentials,
    apiListen,
    apiAdvertise,
    raftAdvertise,
    logLevel: _,
    raftProfile,
    ...same
  } = start;
  return {
    ...same,
    start: raftStart,
    raftTiming: RAFT_TIMINGS[raftProfile],
    identity: credentials,
    listen: apiListen,
    advertise: { api: apiAdvertise, raft: raftAdvertise },
  };
}

function firstMessage(signal: AbortSignal): Promise<ManagerStart> {
  return new Promise((resolve, reject) => {
    process.once('message', (message: ToManager) => {
      assert(message.kind === 'start', 'the first message starts the manager');
      resolve(message.start);
    });
    signal.addEventListener('abort', () => reject(abortReason(signal)), { once: true });
  });
}

function follow(manager: Manager, stop: AbortController): void {
  process.on('message', (message: ToManager) => {
    if (message.kind === 'credentials') manager.setIdentity(message.credentials);
    else if (message.kind === 'stop') stop.abort();
  });
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** The daemon hears why, unless it is gone. */
function failed(error: unknown, logger: Logger): number {
  logger.error({ error: errorMessage(error), stack: (error as Error).stack }, 'manager failed');
  say({ kind: 'failed', code: errorCode(error), message: errorMessage(error) });
  return 1;
}

function say(message: FromManager): void {
  if (process.connected) process.send?.(message, () => undefined);
}
