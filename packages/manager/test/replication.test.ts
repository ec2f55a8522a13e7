import { asId } from '@swarmd/model';
import type { RaftMember } from '@swarmd/raft';
import type { Store } from '@swarmd/store';
import { createMemoryStore } from '@swarmd/store/testing';
import { beforeEach, describe, expect, it } from 'vitest';

import { Replication } from '../src/replication/replication.ts';
import { FakeRaft } from './support/fake-raft.ts';
import { aConfig, aNode } from './support/objects.ts';

const ME: RaftMember = { raftId: 1, nodeId: 'a', address: 'a:1', role: 'voter' };
const { signal } = new AbortController();

describe('replication', () => {
  let store: Store;
  let replication: Replication;
  let raft: FakeRaft;
  beforeEach(() => {
    store = createMemoryStore();
    replication = new Replication(store);
    raft = new FakeRaft(replication.machine, [ME]);
    raft.lead(2);
  });

  const put = (id: string, term: number): Promise<number> => {
    const changes = [{ kind: 'put', table: 'node', object: aNode(id) }] as const;
    return replication.propose(raft, { changes, term }, signal);
  };
  const names = (): string[] => [...store.view.list('node')].map((node) => node.id);

  it('applies what was decided in the term it was appended in', async () => {
    expect(await put('a', 2)).toBe(1);
    expect(store.view.get('node', asId('node', 'a'))?.meta.version).toBe(1);
  });

  it('voids what was decided in an earlier term, and says that nothing happened', async () => {
    const late = put('stale', 2);
    raft.follow(9, 3);
    raft.lead(4);
    await expect(late).rejects.toMatchObject({ code: 'unavailable' });
    expect(names()).toEqual([]);
    expect(store.view.version).toBe(1);
    await put('fresh', 4);
    expect(names()).toEqual(['fresh']);
  });

  it('a snapshot holds everything, and is not touched by what comes later', async () => {
    for (let at = 0; at < 250; at += 1) await put(`n${at}`, 2);
    const chunks = replication.machine.snapshot();
    await put('later', 2);
    const other = createMemoryStore();
    const restoring = new Replication(other).machine.restore(250);
    for (const chunk of chunks) restoring.take(chunk);
    // Whoever looks meanwhile sees nothing half-made.
    expect(other.view.count('node')).toBe(0);
    restoring.finish();
    expect(other.view.version).toBe(250);
    expect(other.view.count('node')).toBe(250);
    expect(other.view.get('node', asId('node', 'n7'))).toEqual(
      store.view.get('node', asId('node', 'n7')),
    );
  });

  it('no chunk of a snapshot is large because its objects are', async () => {
    const data = new Uint8Array(1_000 * 1024);
    for (let at = 0; at < 4; at += 1) {
      const object = aConfig(`c${at}`, data);
      await replication.propose(
        raft,
        { changes: [{ kind: 'put', table: 'config', object }], term: 2 },
        signal,
      );
    }
    const sizes = [...replication.machine.snapshot()].map((chunk) => chunk.byteLength);
    expect(Math.max(...sizes)).toBeLessThan(2 * data.byteLength);
  });
});
