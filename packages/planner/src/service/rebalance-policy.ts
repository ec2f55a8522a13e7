/** Whether tasks of a service move when there is more room elsewhere: its own word, else the cluster's. */
import type { ClusterSpec, Service } from '@swarmd/model';

import { clusterOf } from '../allocate/subnet.ts';
import type { PlanView } from '../types.ts';

const NONE: ClusterSpec['rebalance'] = { budget: 0, intervalMs: 10_000 };

export function rebalanceOf(view: PlanView, { spec }: Service): ClusterSpec['rebalance'] {
  const ofCluster = clusterOf(view)?.spec.rebalance ?? NONE;
  const { budget = ofCluster.budget, intervalMs = ofCluster.intervalMs } = spec.rebalance;
  return { budget, intervalMs };
}

/** How many tasks of the service may move at once; 0: none ever, of its mode or as it says. */
export function movesAtOnce(view: PlanView, service: Service): number {
  const { mode, update, task } = service.spec;
  if (mode.kind !== 'replicated' || task.placement.strategy === 'binpack') return 0;
  const { budget } = rebalanceOf(view, service);
  return Math.min(budget, update.parallelism === 0 ? Infinity : update.parallelism);
}
