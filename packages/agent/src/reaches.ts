/** Whether a server takes connections. */
import { connect, type NetConnectOpts } from 'node:net';

import type { Clock } from '@swarmd/base';

/** @returns false also when nobody answered in time, or `signal` aborted. Nothing is sent. */
export function reaches(
  target: NetConnectOpts,
  { clock, timeoutMs, signal }: { clock: Clock; timeoutMs: number; signal: AbortSignal },
): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(target);
    const end = (isReached: boolean): void => {
      timer.cancel();
      signal.removeEventListener('abort', onAbort);
      socket.destroy();
      resolve(isReached);
    };
    const onAbort = (): void => end(false);
    const timer = clock.after(timeoutMs, onAbort);
    signal.addEventListener('abort', onAbort, { once: true });
    socket.on('connect', () => end(true));
    socket.on('error', () => end(false));
  });
}
