/**
 * One life of a network plane that attaches and detaches containers and looks at what it has made, to be killed at one of its steps.
 * argv: JSON of { state, tasks }; runs where its host is.
 */
import { silentLogger } from '@swarmd/base';
import { beginFaults } from '@swarmd/base/faults';
import { systemClock } from '@swarmd/base/system';
import type { NetworkState, Task } from '@swarmd/model';

import { createNetworkPlane } from '../../src/index.ts';

export interface NetworkLife {
  readonly before: NetworkState;
  readonly during: NetworkState;
  readonly tasks: readonly Task[];
}

const { before, during, tasks } = JSON.parse(process.argv[2] ?? '') as NetworkLife;
const { signal } = new AbortController();
const common = { runDir: '/run/swarmd', clock: systemClock, logger: silentLogger };
const plane = await createNetworkPlane(common);
await plane.apply(before, signal);
beginFaults();
await plane.apply(during, signal);
await Promise.all(tasks.map((task) => plane.attach(task, signal)));
await plane.check({ repair: true, signal });
await plane.apply(before, signal);
for (const { id } of tasks) await plane.detach(id, signal);
await plane[Symbol.asyncDispose]();
process.exit(0);
