import { asId, clusterSpec, type Cluster } from '@swarmd/model';
import { createMemoryStore } from '@swarmd/store/testing';
import { expect, it } from 'vitest';

import { refuseRemoved } from '../src/membership/refuse-removed.ts';
import { FakeRaft, NO_MACHINE } from './support/fake-raft.ts';

const { signal } = new AbortController();
const member = { raftId: 1, nodeId: 'm', address: 'm:1', role: 'voter' } as const;

it('tells Raft whose certificates are void, at the start and when one is added', async () => {
  const store = createMemoryStore();
  const put = (labels: Record<string, string>, ...removed: string[]): Promise<unknown> =>
    store.update((tx) => {
      const cluster: Cluster = {
        id: asId('cluster', 'c'),
        meta: { version: 0, createdAt: 0, updatedAt: 0 },
        spec: { ...clusterSpec.parse({}), labels },
        rootCa: { certificatePem: '', keyPem: '', joinTokens: { worker: '', manager: '' } },
        removedManagers: removed.map((id) => asId('node', id)),
      };
      tx.put('cluster', { ...cluster, meta: tx.get('cluster', cluster.id)?.meta ?? cluster.meta });
    }, signal);
  await put({}, 'gone');
  const raft = new FakeRaft(NO_MACHINE, [member]);
  const following = refuseRemoved(store, raft);
  expect(raft.refused).toEqual([['gone']]);
  await put({ color: 'red' }, 'gone');
  await put({ color: 'red' }, 'gone', 'too');
  expect(raft.refused).toEqual([['gone'], ['gone', 'too']]);
  following[Symbol.dispose]();
  await put({}, 'gone', 'too', 'late');
  expect(raft.refused).toHaveLength(2);
});
