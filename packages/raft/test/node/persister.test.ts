import { until } from '@swarmd/base/testing';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { systemClock } from '@swarmd/base/system';
import { afterEach, beforeEach, expect, test } from 'vitest';

import { MemoryLog } from '../../src/core/memory-log.ts';
import type { Entry, Ready } from '../../src/core/types.ts';
import { Persister } from '../../src/node/persister.ts';
import { DiskStorage } from '../../src/wal/disk-storage.ts';
import { LogStore } from '../../src/wal/log-store.ts';
import type { KeyValueStore } from '../../src/wal/storage.ts';

const IDENTITY = { clusterId: 'cluster', nodeId: 'node', raftId: 1 };

let directory = '';
let batches = 0;
let failAt = Infinity;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'raft-persister-'));
  batches = 0;
  failAt = Infinity;
});

afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

/** A disk that counts batches, and fails from the `failAt`th on. */
class CountingStorage extends DiskStorage {
  override async openDatabase(): Promise<KeyValueStore> {
    const database = await super.openDatabase();
    const batch = database.batch.bind(database);
    const counted: KeyValueStore['batch'] = (operations, options) => {
      batches += 1;
      if (batches >= failAt) return Promise.reject(new Error('no space left on device'));
      return batch(operations, options);
    };
    return Object.assign(database, { batch: counted });
  }
}

async function openPersister() {
  const { store } = await LogStore.open({
    storage: new CountingStorage(directory),
    identity: IDENTITY,
    start: 'create',
  });
  const log = new MemoryLog();
  const persisted: number[] = [];
  const failures: unknown[] = [];
  const persister = new Persister({
    store,
    log,
    hard: { term: 0, vote: 0, commit: 0 },
    clock: systemClock,
    received: () => {
      throw new Error('no snapshots here');
    },
    onPersisted: (readys) => persisted.push(...readys.map((r) => r.seq)),
    onTaken: () => undefined,
    onSnapshotKept: () => undefined,
    onFailure: (error) => failures.push(error),
  });
  return { store, log, persister, persisted, failures };
}

function ready(seq: number, term: number, range: { from: number; count?: number }): Ready {
  const { from, count = 1 } = range;
  const append = Array.from({ length: count }, (_, i): Entry => {
    const index = from + i;
    return { index, term, kind: 'normal', data: Buffer.from(`${index} of ${term}`) };
  });
  return {
    seq,
    hard: { term, vote: 1, commit: 0 },
    append,
    mustSync: true,
    messages: [],
    messagesAfterPersist: [],
    committed: [],
    reads: [],
    proposed: [],
    dropped: [],
  };
}

test('what comes during a write goes into the next one, overwritten suffixes included', async () => {
  const { store, log, persister, persisted } = await openPersister();
  const created = batches;
  persister.add(ready(1, 1, { from: 1, count: 5 }));
  persister.add(ready(2, 1, { from: 6, count: 3 }));
  persister.add(ready(3, 2, { from: 4, count: 2 }));
  persister.add(ready(4, 2, { from: 6, count: 1 }));
  expect(persisted).toEqual([]);
  await until('all is written', () => persisted.length === 4);
  expect(persisted).toEqual([1, 2, 3, 4]);
  expect(batches - created).toBe(2);
  await persister.stop();
  await store[Symbol.asyncDispose]();

  const again = await LogStore.open({
    storage: new DiskStorage(directory),
    identity: IDENTITY,
    start: 'restart',
  });
  await again.store[Symbol.asyncDispose]();
  const terms = again.stored.entries.map((entry) => entry.term);
  expect(terms).toEqual([1, 1, 1, 2, 2, 2]);
  expect(log.last()).toBe(6);
});

test('61: a failed write stops everything: nothing is acknowledged or tried again', async () => {
  const { store, persister, persisted, failures } = await openPersister();
  persister.add(ready(1, 1, { from: 1 }));
  await until('the first is written', () => persisted.length === 1);
  failAt = batches + 1;
  persister.add(ready(2, 1, { from: 2 }));
  persister.add(ready(3, 1, { from: 3 }));
  await until('the failure is reported', () => failures.length > 0);
  const tried = batches;
  persister.add(ready(4, 1, { from: 4 }));
  await expect(store.write({ sync: true })).rejects.toThrow(/no space left/u);
  await persister.stop();
  expect({ persisted, tried: batches }).toEqual({ persisted: [1], tried });
  expect(String(failures[0])).toMatch(/could not be written/u);
  await store[Symbol.asyncDispose]();
});
