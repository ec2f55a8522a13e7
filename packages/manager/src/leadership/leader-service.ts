/** swarm.v1.Leader: what managers report. Only the leader answers; nothing is passed on. */
import type { Call, Leader } from '@swarmd/api';
import { SwarmError, type Clock } from '@swarmd/base';
import type { Raft } from '@swarmd/raft';
import type { Store } from '@swarmd/store';

import { UP_TO_DATE_WAIT_MS } from '../limits.ts';
import { SharedBarrier } from '../replication/shared-barrier.ts';
import type { Duties } from './duties.ts';
import type { Leadership } from './leadership.ts';
import { takeStatuses } from './task-statuses.ts';

export function createLeaderService(options: {
  leadership: Leadership<Duties>;
  store: Store;
  raft: Raft;
  clock: Clock;
}): Leader {
  const { leadership } = options;
  const barrier = new SharedBarrier({ ...options, timeoutMs: UP_TO_DATE_WAIT_MS });
  const lead = (call: Call): { duties: Duties; signal: AbortSignal } => {
    const { reign } = leadership;
    if (reign === undefined) throw new SwarmError('unavailable', 'this manager does not lead');
    return { duties: reign.duties, signal: AbortSignal.any([call.signal, reign.signal]) };
  };
  return {
    reportStatuses: ({ reports }, call) => {
      const { duties, signal } = lead(call);
      return takeStatuses({ ...options, barrier, services: duties.services }, reports, signal);
    },
    reportSessions: async ({ live, away }, call) => {
      const { duties, signal } = lead(call);
      if (call.peer === undefined) throw new SwarmError('unauthenticated', 'only managers report');
      await duties.liveness.report(live, call.peer.nodeId, signal);
      if (away.length > 0) await duties.liveness.goodbye(away, signal);
    },
    reportApplied: ({ nodes }, call) => {
      lead(call).duties.release.report(nodes);
      return Promise.resolve();
    },
    reportUsage: ({ tasks }, call) => {
      lead(call).duties.autoscale.report(tasks);
      return Promise.resolve();
    },
  };
}
