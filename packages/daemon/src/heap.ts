/**
 * A process's memory while it idles against its speed while it works. Idle, it is kept small: with a
 * small young generation and V8's preference for size a manager holds 14 MiB less. Under load the same
 * settings cost a third of its speed (measured: CPU time for a write, all managers), and an agent that passes
 * on a flood of logs half of its time, in a full collection every 300 ms.
 */
import { getHeapStatistics, setFlagsFromString } from 'node:v8';

import { every, type Clock } from '@swarmd/base';

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
/**
 * So much a large heap may grow between two full collections. Left to itself V8 goes by how fast the
 * program allocates, by the wall clock: the busier the machine is with others, the smaller it keeps the heap,
 * and the more often it collects all of it (every 6 s at a load of 12, a second of processor time each). Small
 * heaps of other threads get less than that: Raft's was collected for every 8 MiB of its log.
 */
const LARGE_HEAP_GROWS_PERCENT = 150;

/** V8's own, and so long that what it costs does not matter. */
const REDUCE_AFTER_MS = 8_000;
const REDUCE_RARELY_MS = 600_000;

/** Busy with a large heap is a mode of its own, in which the process stays while the heap is large. */
export type Mode = 'idle' | 'busy' | 'large';

export interface HeapState {
  readonly mode: Mode;
  /** Looks in a row that found it quiet, and busy. */
  readonly quiet: number;
  readonly busy: number;
}

/** Pure. @param busyLooks busy looks in a row that make it busy. */
export function nextMode(
  now: HeapState,
  { utilization, heapBytes }: { readonly utilization: number; readonly heapBytes: number },
  busyLooks: number,
): HeapState {
  const isLarge = heapBytes > LARGE_HEAP_BYTES;
  const isBusy = utilization >= BUSY || isLarge;
  const busy = isBusy ? now.busy + 1 : 0;
  const quiet = !isBusy && utilization < IDLE ? now.quiet + 1 : 0;
  if (busy >= busyLooks) return { mode: isLarge ? 'large' : 'busy', quiet, busy };
  return { mode: quiet >= QUIET_LOOKS ? 'idle' : now.mode, quiet, busy };
}

export interface HeapOptions {
  /** Whether the young generation may grow under load: it does not shrink before many full collections. */
  readonly youngGrows: boolean;
  /** Seconds of load that are not taken for more than starting, or a few containers. */
  readonly busyLooks: number;
}

/** Follows the load of this thread until it is disposed. */
export function tuneHeap(clock: Clock, options: HeapOptions): Disposable {
  let state: HeapState = { mode: 'idle', quiet: 0, busy: 0 };
  let before = performance.eventLoopUtilization();
  apply(state.mode, options);
  return every(clock, LOOK_EVERY_MS, () => {
    const after = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(after, before);
    before = after;
    const heapBytes = getHeapStatistics().used_heap_size;
    const next = nextMode(state, { utilization, heapBytes }, options.busyLooks);
    if (next.mode !== state.mode) apply(next.mode, options);
    state = next;
  });
}

/** Flags that V8 reads whenever it decides, not only at its start. */
function apply(mode: Mode, { youngGrows }: HeapOptions): void {
  setFlagsFromString(mode === 'idle' ? '--optimize-for-size' : '--no-optimize-for-size');
  setFlagsFromString(`--semi-space-growth-factor=${mode !== 'idle' && youngGrows ? 2 : 1}`);
  setFlagsFromString(`--heap-growing-percent=${mode === 'large' ? LARGE_HEAP_GROWS_PERCENT : 0}`);
  // With a heap of hundreds of MiB each of V8's collections to save memory takes half a second of
  // processor time, and leaves so little room that the next one is due three seconds later: a manager
  // of 5,000 nodes spent 15 % of a core on them while nothing happened. (Their number, another flag, must
  // not be changed: V8 ends a process that has begun more of them than it may.)
  setFlagsFromString(
    `--gc-memory-reducer-start-delay-ms=${mode === 'idle' ? REDUCE_AFTER_MS : REDUCE_RARELY_MS}`,
  );
}
