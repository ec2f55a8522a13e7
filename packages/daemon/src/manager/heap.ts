/**
 * The manager's memory while it idles against its speed while it works. Idle, it is kept small: with a
 * small young generation and V8's preference for size it holds 14 MiB less. Under load the same
 * settings cost a third of its speed (measured: CPU time for a write, all managers).
 */
import { getHeapStatistics, setFlagsFromString } from 'node:v8';

import type { Clock } from '@swarmd/base';

const LOOK_EVERY_MS = 1_000;
/** Shares of time in which the main thread had something to do. */
const BUSY = 0.2;
const IDLE = 0.05;
/** So many quiet looks in a row make it idle: full collections follow, which should be worth it. */
const QUIET_LOOKS = 10;
/**
 * A heap of more than this is not made smaller: thousands of sessions have more that waits for their next
 * heartbeat than a small young generation holds, which would all be taken for old.
 */
const LARGE_HEAP_BYTES = 64 * 1024 ** 2;

export type Mode = 'idle' | 'busy';

/** Pure: what the next mode is, and how many quiet looks there have been. */
export function nextMode(
  now: { readonly mode: Mode; readonly quiet: number },
  { utilization, heapBytes }: { readonly utilization: number; readonly heapBytes: number },
): { readonly mode: Mode; readonly quiet: number } {
  if (utilization >= BUSY || heapBytes > LARGE_HEAP_BYTES) return { mode: 'busy', quiet: 0 };
  const quiet = utilization < IDLE ? now.quiet + 1 : 0;
  return { mode: quiet >= QUIET_LOOKS ? 'idle' : now.mode, quiet };
}

/** Follows the load of this thread until it is disposed. */
export function tuneHeap(clock: Clock): Disposable {
  let state: { readonly mode: Mode; readonly quiet: number } = { mode: 'idle', quiet: 0 };
  let before = performance.eventLoopUtilization();
  apply(state.mode);
  const look = (): void => {
    const after = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(after, before);
    before = after;
    const heapBytes = getHeapStatistics().used_heap_size;
    const next = nextMode(state, { utilization, heapBytes });
    if (next.mode !== state.mode) apply(next.mode);
    state = next;
    timer = clock.after(LOOK_EVERY_MS, look, { unref: true });
  };
  let timer = clock.after(LOOK_EVERY_MS, look, { unref: true });
  return { [Symbol.dispose]: () => timer.cancel() };
}

/** Flags that V8 reads whenever it decides, not only at its start. */
function apply(mode: Mode): void {
  setFlagsFromString(mode === 'idle' ? '--optimize-for-size' : '--no-optimize-for-size');
  setFlagsFromString(`--semi-space-growth-factor=${mode === 'idle' ? 1 : 2}`);
}
