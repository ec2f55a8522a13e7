/**
 * For processes of benchmarks that stand for a manager: its memory is kept as the daemon keeps it. Threads are
 * given the same imports; V8's flags are those of the process, and its main thread says what they are.
 */
import { isMainThread } from 'node:worker_threads';

import { systemClock } from '@swarmd/base/system';

import { tuneHeap } from '../../packages/daemon/src/heap.ts';

if (isMainThread) tuneHeap(systemClock, { youngGrows: true, busyLooks: 1 });
