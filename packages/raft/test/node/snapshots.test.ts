import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { silentLogger } from '@swarmd/base';
import { systemClock, systemRandom } from '@swarmd/base/system';
import { afterEach, beforeEach, expect, test } from 'vitest';

import { boot } from '../../src/node/boot.ts';
import { Snapshots, type SnapshotsPorts } from '../../src/node/snapshots.ts';
import { DiskStorage } from '../../src/wal/disk-storage.ts';
import { SnapshotFolder } from '../../src/wal/snapshot-folder.ts';

let directory: string;

beforeEach(() => void (directory = mkdtempSync(join(tmpdir(), 'raft-snapshots-'))));
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** Tells when it has cleaned up. */
class WatchedFolder extends SnapshotFolder {
  cleaned: Promise<void> = Promise.resolve();

  override clean(...kept: Parameters<SnapshotFolder['clean']>): Promise<void> {
    this.cleaned = super.clean(...kept);
    return this.cleaned;
  }
}

test('46: the file of a snapshot stays, although the log does not know of it yet', async () => {
  const storage = new DiskStorage(directory);
  const booted = await boot({
    options: {
      directory,
      clusterId: 'c',
      nodeId: 'n',
      raftId: 1,
      start: 'bootstrap',
      listen: { host: '', port: 0 },
      advertise: 'a:1',
      tls: { certificatePem: '', keyPem: '', caPem: '' },
    },
    storage,
    random: systemRandom,
  });
  await using _ = booted.store;
  const folder = new WatchedFolder(storage, undefined);
  const index = booted.log.last();
  const { book } = booted;
  const kept = Promise.withResolvers<string>();
  const ports: SnapshotsPorts = {
    clock: systemClock,
    logger: silentLogger,
    every: 1,
    post: () => undefined,
    // It is on its way into the log, behind other writes.
    keep: ({ record }) => kept.resolve(record.file),
    book: () => book.content(),
    applied: () => index,
    progress: () => [],
    restoring: () => false,
    network: () => ({ fetching: false, snapshotsInUse: () => [] }),
    onRestored: () => undefined,
    onFailure: kept.reject,
  };
  const snapshots = new Snapshots({ ...booted, folder }, ports);
  snapshots.consider(index);
  snapshots.receive({ kind: 'snapshotBegin', index });
  snapshots.receive({ kind: 'snapshotFrame', frame: new ArrayBuffer(3) });
  snapshots.receive({ kind: 'snapshotEnd' });
  const file = await kept.promise;
  // Another write was done meanwhile.
  snapshots.settled();
  await folder.cleaned;
  expect(await storage.list()).toContain(file);
  await snapshots.stop();
});
