/**
 * A process's memory while it idles against its speed while it works. Idle, it is kept small: with a
 * small young generation and V8's preference for size a manager holds 14 MiB less. Under load the same
 * settings cost a third of its speed (measured: CPU time for a write, all managers), and an agent that passes
 * on a flood of logs half of its time, in a full collection every 300 ms.
 */
import { getHeapSpaceStatistics, getHeapStatistics, setFlagsFromString } from 'node:v8';

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

/**
 * The young generation (both halves) of a process with a small heap does not grow beyond this: what it has more
 * it does not give back for long. With a large heap it grows as far as the process's flags allow: 100,000 tasks
 * placed in a tenth less processor time than with so much, as less of what is under way is taken for old.
 */
const SMALL_YOUNG_BYTES = 32 * 1024 ** 2;

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

/** By how much the young generation grows when it is full of what lives: 2, or 1: not at all. Pure. */
export function youngGrowth(mode: Mode, youngBytes: number): 1 | 2 {
  if (mode === 'idle') return 1;
  return mode === 'large' || youngBytes < SMALL_YOUNG_BYTES ? 2 : 1;
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
  let growth = setMode(state.mode, options);
  return every(clock, LOOK_EVERY_MS, () => {
    const after = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(after, before);
    before = after;
    const heapBytes = getHeapStatistics().used_heap_size;
    const next = nextMode(state, { utilization, heapBytes }, options.busyLooks);
    const isNews = next.mode !== state.mode || youngGrowth(next.mode, youngBytes()) !== growth;
    if (isNews) growth = setMode(next.mode, options);
    state = next;
  });
}

function youngBytes(): number {
  const space = getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space');
  return space?.space_size ?? 0;
}

/** Flags that V8 reads whenever it decides, not only at its start. @returns how the young generation grows now. */
function setMode(mode: Mode, { youngGrows }: HeapOptions): 1 | 2 {
  const growth = youngGrowth(mode, youngBytes());
  setFlagsFromString(mode === 'idle' ? '--optimize-for-size' : '--no-optimize-for-size');
  setFlagsFromString(`--semi-space-growth-factor=${youngGrows ? growth : 1}`);
  setFlagsFromString(`--heap-growing-percent=${mode === 'large' ? LARGE_HEAP_GROWS_PERCENT : 0}`);
  // With a heap of hundreds of MiB each of V8's collections to save memory takes half a second of
  // processor time, and leaves so little room that the next one is due three seconds later: a manager
  // of 5,000 nodes spent 15 % of a core on them while nothing happened. (Their number, another flag, must
  // not be changed: V8 ends a process that has begun more of them than it may.)
  setFlagsFromString(
    `--gc-memory-reducer-start-delay-ms=${mode === 'idle' ? REDUCE_AFTER_MS : REDUCE_RARELY_MS}`,
  );
  return growth;
}
