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
