/** The cluster that a simulation begins with: three managers, workers, networks. */
import { ManualClock } from '@swarmd/base/testing';
import { asId, clusterSpec, networkSpec, type Change } from '@swarmd/model';
import { allocateNetwork } from '@swarmd/planner';
import { createMemoryStore } from '@swarmd/store/testing';
import type { Transaction } from '@swarmd/store';

import { sizeOf } from './cluster-size.ts';
import { granted } from '../../control/granted.ts';
import { newNode } from '../../identity/new-node.ts';

export const MANAGERS = [1, 2, 3].map((raftId) => ({
  raftId,
  nodeId: asId('node', `manager${raftId}`),
  address: `manager${raftId}:4242`,
}));

/** The second has room for four tasks only. */
const SUBNETS = { wide: '10.1.0.0/16', narrow: '10.2.0.0/29' };
const ENTRY_CHANGES = 500;

/** Changes of the first entries of the log. `nodes` counts the managers in. */
export async function genesis(nodes: number, now: number): Promise<Change[][]> {
  const store = createMemoryStore({ clock: new ManualClock(now) });
  const entries: Change[][] = [];
  store.subscribe((commit) =>
    entries.push(
      commit.changes.flatMap(({ table, after }) =>
        after === undefined ? [] : [{ kind: 'put', table, object: after } as Change],
      ),
    ),
  );
  const write = (fn: (tx: Transaction) => void): Promise<void> =>
    store.update<void>((tx) => fn(tx), new AbortController().signal);
  await write((tx) => putCluster(tx, { nodes, now }));
  const isLabelled = sizeOf(nodes).isLarge;
  for (let from = 0; from < nodes; from += ENTRY_CHANGES) {
    await write((tx) =>
      putNodes(tx, { from, to: Math.min(nodes, from + ENTRY_CHANGES), now, isLabelled }),
    );
  }
  return entries;
}

function putCluster(tx: Transaction, { nodes, now }: { nodes: number; now: number }): void {
  const more = sizeOf(nodes).networks.map(
    (name, at) => [name, `10.${16 + (at >> 4)}.${(at & 15) * 16}.0/20`] as const,
  );
  const meta = { version: 0, createdAt: now, updatedAt: now };
  tx.put('cluster', {
    id: asId('cluster', 'cluster'),
    meta,
    spec: clusterSpec.parse({}),
    rootCa: { certificatePem: '', keyPem: '', joinTokens: { worker: '', manager: '' } },
    removedManagers: [],
  });
  for (const [name, subnet] of [...Object.entries(SUBNETS), ...more]) {
    const spec = networkSpec.parse({ name, subnet });
    const given = granted(allocateNetwork(tx, spec));
    tx.put('network', { id: asId('network', name), meta, spec, ...given });
  }
}

/** In a large cluster users label few nodes in the time there is, and what asks for labels is to run. */
function labelsOf(at: number): Record<string, string> {
  return { disk: at % 3 === 0 ? 'hdd' : 'ssd', rank: `${1 + (at % 4)}` };
}

function putNodes(
  tx: Transaction,
  range: { from: number; to: number; now: number; isLabelled: boolean },
): void {
  for (let at = range.from; at < range.to; at += 1) {
    const seat = MANAGERS[at];
    const node = newNode(tx, {
      id: seat?.nodeId ?? asId('node', `worker${at}`),
      role: seat === undefined ? 'worker' : 'manager',
      now: range.now,
    });
    if (seat === undefined) {
      const labels = range.isLabelled ? labelsOf(at) : {};
      tx.put('node', { ...node, spec: { ...node.spec, labels } });
    } else {
      const { raftId, address } = seat;
      tx.put('node', { ...node, manager: { raftId, apiAddress: address, raftAddress: address } });
    }
  }
}
