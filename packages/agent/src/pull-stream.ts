/** A pull for people: how far it is, for as long as it takes; at its end the image. */
import type { PullEvent } from '@swarmd/api';
import { sleep, type Clock } from '@swarmd/base';

import { PULL_STREAM_INTERVAL_MS } from './limits.ts';
import type { Executor } from './ports.ts';
import { registryAuthFrom } from './task/registry-auth.ts';

/** Leaving the loop ends the pull, unless others wait for the same image. */
export async function* pullWithProgress(
  request: { readonly reference: string; readonly registryAuth?: Uint8Array },
  on: { readonly executor: Pick<Executor, 'images' | 'pull'>; readonly clock: Clock },
  signal: AbortSignal,
): AsyncGenerator<PullEvent> {
  const { reference, registryAuth } = request;
  const { executor, clock } = on;
  const leave = new AbortController();
  const either = AbortSignal.any([signal, leave.signal]);
  const auth = registryAuthFrom(registryAuth);
  const pull = executor.pull(reference, either, { auth });
  const done = pull.then(
    () => true,
    () => true,
  );
  try {
    let before = '';
    while (!(await Promise.race([done, pause(clock, either)]))) {
      const layers = executor.images.pullProgress(reference) ?? [];
      const now = JSON.stringify(layers);
      if (layers.length > 0 && now !== before) yield { kind: 'progress', layers: [...layers] };
      before = now;
    }
    await pull;
    yield { kind: 'image', ...(await executor.images.inspect(reference)) };
  } finally {
    leave.abort(new Error('nobody waits for the pull any more'));
    await done;
  }
}

/** False after the interval, true when there is no point in waiting on. */
async function pause(clock: Clock, signal: AbortSignal): Promise<boolean> {
  try {
    await sleep(clock, PULL_STREAM_INTERVAL_MS, signal);
    return false;
  } catch (error) {
    if (signal.aborted) return true;
    throw error;
  }
}
