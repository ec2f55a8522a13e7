/** Flips every byte of every stored value of a log, one after the other: each must be noticed. */
import { errorMessage, SwarmError } from '@swarmd/base';

import type { Entry } from '../../core/types.ts';
import { LogStore } from '../../wal/log-store.ts';
import type { Storage } from '../../wal/storage.ts';
import { Dice } from '@swarmd/base/testing';
import { SimDisk } from './sim-disk.ts';

const IDENTITY = { clusterId: 'cluster', nodeId: 'node', raftId: 7 };
const ALL = { gte: Buffer.alloc(0), lte: Buffer.alloc(16, 0xff) };

/** What was not noticed: none of these, if all is well. */
export async function unnoticedFlips(): Promise<string[]> {
  const disk = new SimDisk(new Dice(1));
  const early = await writeLog(disk);
  const content = disk.scan(ALL);
  const before = await opened(disk);
  const unnoticed: string[] = [];
  // LevelDB drops a damaged end of its journal without a word; the mark is in another file.
  const shortened = new SimDisk(new Dice(1));
  shortened.load(early, disk.mark?.bytes);
  if ((await opened(shortened)) !== undefined) unnoticed.push('the loss of the newest batch');
  for (const [key, value] of content) {
    for (let at = 0; at < value.length; at++) {
      const flipped = Buffer.from(value);
      flipped.writeUInt8(flipped.readUInt8(at) ^ (1 << (at % 8)), at);
      const copy = new SimDisk(new Dice(1));
      const changed = content.map(
        ([other, kept]) => [other, other === key ? flipped : kept] as const,
      );
      copy.load(changed, disk.mark?.bytes);
      const after = await opened(copy);
      const noticed = after === undefined || after === before;
      if (!noticed) unnoticed.push(`byte ${at} of ${key.toString('latin1')}`);
    }
  }
  return unnoticed;
}

function mounted(disk: SimDisk): Storage {
  return disk.mount({ later: (fn) => fn(), moment: () => undefined, missing: () => undefined });
}

/** Returns what was there before the last write. */
async function writeLog(disk: SimDisk): Promise<[Buffer, Buffer][]> {
  const storage = mounted(disk);
  const { store } = await LogStore.open({ storage, identity: IDENTITY, start: 'create' });
  const append = Array.from({ length: 4 }, (_, i): Entry => {
    return { index: i + 1, term: 1, kind: 'normal', data: Buffer.from(`entry ${i + 1}`) };
  });
  await store.write({ hard: { term: 2, vote: 7, commit: 3 }, append, sync: true });
  const early = disk.scan(ALL);
  await store.write({ hard: { term: 3, vote: 7, commit: 3 }, sync: true });
  await store[Symbol.asyncDispose]();
  return early;
}

/** What is read back, or how reading fell over; undefined when the log is refused. */
async function opened(disk: SimDisk): Promise<string | undefined> {
  try {
    const options = { storage: mounted(disk), identity: IDENTITY, start: 'restart' as const };
    const { store, stored } = await LogStore.open(options);
    await store[Symbol.asyncDispose]();
    return JSON.stringify({ hard: stored.header.hard, entries: stored.entries });
  } catch (error) {
    return error instanceof SwarmError ? undefined : errorMessage(error);
  }
}
