/** The cluster object of this manager's copy of the state. */
import { SwarmError } from '@swarmd/base';
import type { Cluster } from '@swarmd/model';
import type { ReadView } from '@swarmd/store';

/** There is exactly one, made when the cluster was. */
export function theCluster(view: Pick<ReadView, 'list'>): Cluster {
  for (const cluster of view.list('cluster')) return cluster;
  throw new SwarmError(
    'unavailable',
    'this manager has not received the state of the cluster yet; try again',
  );
}
