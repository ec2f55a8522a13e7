/**
 * A process's memory while it idles against its speed while it works. Idle, it is kept small: with a
 * small young generation and V8's preference for size a manager holds 14 MiB less. Under load the same
 * settings cost a third of its speed (measured: CPU time for a write, all managers), and an agent that passes
 * on a flood of logs half of its time, in a full collection every 300 ms.
 */
import { totalmem } from 'node:os';
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
 * So much a large heap may grow at least between two full collections. Left to itself V8 goes by how fast the
 * program allocates, by the wall clock: the busier the machine is with others, the smaller it keeps the heap,
 * and the more often it collects all of it (every 6 s at a load of 12, a second of processor time each). Small
 * heaps of other threads get less than that: Raft's was collected for every 8 MiB of its log.
 */
const LARGE_HEAP_GROWS_PERCENT = 150;
/**
 * It may grow by so much in any case, as far as the machine has memory: what a full collection costs is what
 * waits for it, so that a load that a manager has now and then had better end before the next one is due.
 */
const LARGE_HEAP_GROWS_BYTES = 512 * 1024 ** 2;
/** Of the memory of the machine, or of the group of processes. */
const LARGE_HEAP_GROWS_SHARE = 1 / 32;
/** Of what is there before a full collection so much outlives it, more or less. */
const OUTLIVES = 0.5;

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

/**
 * How much larger than after a full collection the heap may be before the next one. Pure.
 * @param heapBytes before it: V8 asks when it is over, what is left then nobody knows yet. If all of it is,
 * the heap grows by twice as much as it should.
 * @param memoryBytes that there are in all.
 */
export function growsPercent(heapBytes: number, memoryBytes: number): number {
  const grows = Math.min(LARGE_HEAP_GROWS_BYTES, memoryBytes * LARGE_HEAP_GROWS_SHARE);
  return Math.max(LARGE_HEAP_GROWS_PERCENT, Math.round((100 * grows) / (heapBytes * OUTLIVES)));
}

export interface HeapOptions {
  /** Whether the young generation may grow under load: it does not shrink before many full collections. */
  readonly youngGrows: boolean;
  /** Seconds of load that are not taken for more than starting, or a few containers. */
  readonly busyLooks: number;
}

/** Follows the load of this thread until it is disposed. */
export function tuneHeap(clock: Clock, options: HeapOptions): Disposable {
  const memoryBytes = Math.min(totalmem(), process.constrainedMemory() || Infinity);
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
    const percent = next.mode === 'large' ? growsPercent(heapBytes, memoryBytes) : 0;
    setFlagsFromString(`--heap-growing-percent=${percent}`);
    state = next;
  });
}

/** Flags that V8 reads whenever it decides, not only at its start. */
function apply(mode: Mode, { youngGrows }: HeapOptions): void {
  setFlagsFromString(mode === 'idle' ? '--optimize-for-size' : '--no-optimize-for-size');
  setFlagsFromString(`--semi-space-growth-factor=${mode !== 'idle' && youngGrows ? 2 : 1}`);
  // With a heap of hundreds of MiB each of V8's collections to save memory takes half a second of
  // processor time, and leaves so little room that the next one is due three seconds later: a manager
  // of 5,000 nodes spent 15 % of a core on them while nothing happened. (Their number, another flag, must
  // not be changed: V8 ends a process that has begun more of them than it may.)
  setFlagsFromString(
    `--gc-memory-reducer-start-delay-ms=${mode === 'idle' ? REDUCE_AFTER_MS : REDUCE_RARELY_MS}`,
  );
}
