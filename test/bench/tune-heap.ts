/** For processes of benchmarks that stand for a manager: its memory is kept as the daemon keeps it. */
import { systemClock } from '@swarmd/base/system';

import { tuneHeap } from '../../packages/daemon/src/heap.ts';

tuneHeap(systemClock, { youngGrows: true, busyLooks: 1 });
