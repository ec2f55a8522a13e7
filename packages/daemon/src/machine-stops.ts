/**
 * Whether the whole machine goes down, and not only this daemon. A daemon that restarts leaves its
 * containers running and is soon back: its tasks are worth waiting for. Those of a machine that goes down
 * end with it.
 */
import { run } from '@swarmd/base/system';

/** Stopping must not hang on a system that hangs while it stops. */
const ASK_MAX_MS = 1_000;
/** Of any state but "running", depending on systemd's version. */
const OTHER_STATES = [1, 3, 4];

/** False where there is no systemd to ask: the daemon then counts as restarting. */
export async function machineStops(env = process.env): Promise<boolean> {
  const options = { env, timeoutMs: ASK_MAX_MS, okCodes: [0, ...OTHER_STATES] };
  const state = await run('systemctl', ['is-system-running'], options).then(
    ({ stdout }) => stdout.trim(),
    () => 'unknown',
  );
  // systemctl(1): the state from the moment a shutdown job is queued.
  return state === 'stopping';
}
