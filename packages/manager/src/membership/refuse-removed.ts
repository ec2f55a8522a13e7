/**
 * The certificate of a removed manager is valid until it expires. Raft, which admits whoever holds a
 * manager's certificate (a voter may be older news to the others than its first message), is told whose
 * are void.
 */
import type { Cluster, NodeId } from '@swarmd/model';
import type { Raft } from '@swarmd/raft';
import type { Store } from '@swarmd/store';

import { sameValue } from '../same-value.ts';

/** Now, and whenever another one is removed. */
export function refuseRemoved(store: Store, raft: Pick<Raft, 'refuseNodes'>): Disposable {
  let told: readonly NodeId[] = [];
  const tell = ({ removedManagers }: Cluster): void => {
    if (sameValue(told, removedManagers)) return;
    told = removedManagers;
    raft.refuseNodes(told);
  };
  for (const cluster of store.view.list('cluster')) tell(cluster);
  return store.subscribe(({ changes }) => {
    for (const { table, after } of changes) if (table === 'cluster' && after) tell(after);
  });
}
