import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { errorCode, errorMessage } from '@swarmd/base';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import type { Entry } from '../../src/core/types.ts';
import { recordCipher } from '../../src/wal/cipher.ts';
import type { SnapshotRecord } from '../../src/wal/header.ts';
import { DiskStorage } from '../../src/wal/disk-storage.ts';
import { LogStore, type LogStoreOptions, type OpenedLog } from '../../src/wal/log-store.ts';

const IDENTITY = { clusterId: 'cluster', nodeId: 'node', raftId: 7 };
const CONF = { voters: [7], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };

let directory = '';

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'raft-wal-'));
});

afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

function open(options: Partial<LogStoreOptions> = {}): Promise<OpenedLog> {
  const storage = new DiskStorage(directory);
  return LogStore.open({ storage, identity: IDENTITY, start: 'create', ...options });
}

async function reopen(options: Partial<LogStoreOptions> = {}): Promise<OpenedLog> {
  return open({ start: 'restart', ...options });
}

function entries(from: number, to: number, term = 1): Entry[] {
  return Array.from({ length: to - from + 1 }, (_, i) => ({
    index: from + i,
    term,
    kind: 'normal' as const,
    data: new Uint8Array(Buffer.from(`entry ${from + i} of term ${term}`)),
  }));
}

function snapshotAt(index: number, term = 1): SnapshotRecord {
  return {
    descriptor: { index, term, confState: CONF, members: [], removed: [] },
    file: `${index}.snapshot`,
    sha256: '',
    frames: 1,
  };
}

const hard = (term: number, commit: number) => ({ term, vote: 7, commit });

async function write(...changes: Parameters<LogStore['write']>[0][]): Promise<void> {
  await using store = (await open()).store;
  for (const change of changes) await store.write(change);
}

async function refusal(options: Partial<LogStoreOptions> = {}): Promise<string> {
  try {
    const { store } = await reopen(options);
    await store[Symbol.asyncDispose]();
    return 'opened';
  } catch (error) {
    return `${errorCode(error)}: ${errorMessage(error)}`;
  }
}

describe('what was written is read back', () => {
  test('entries, hard state, an overwritten suffix', async () => {
    await write(
      { hard: hard(1, 0), append: entries(1, 10), sync: true },
      { hard: hard(2, 4), append: entries(6, 8, 2), sync: true },
    );
    const { store, stored, created } = await reopen();
    await store[Symbol.asyncDispose]();
    expect(created).toBe(false);
    expect(stored.header.hard).toEqual(hard(2, 4));
    expect(stored.entries).toEqual([...entries(1, 5), ...entries(6, 8, 2)]);
  });

  test('compaction keeps what follows, an installed snapshot replaces everything', async () => {
    await write(
      { hard: hard(1, 9), append: entries(1, 10), sync: true },
      { taken: snapshotAt(8), compactTo: { index: 5, term: 1 }, sync: true },
    );
    const first = await reopen();
    expect(first.stored.entries).toEqual(entries(6, 10));
    expect(first.stored.header.compacted).toEqual({ index: 5, term: 1 });
    await first.store.write({ hard: hard(3, 40), install: snapshotAt(40, 3), sync: true });
    await first.store.write({ append: entries(41, 42, 3), sync: true });
    await first.store[Symbol.asyncDispose]();
    const second = await reopen();
    await second.store[Symbol.asyncDispose]();
    expect(second.stored.entries).toEqual(entries(41, 42, 3));
    expect(second.stored.snapshots.map((s) => s.descriptor.index)).toEqual([8, 40]);
  });

  test('encrypted: no plain text on the disk, and only with the key', async () => {
    const key = new Uint8Array(32).fill(1);
    const { store } = await open({ cipher: recordCipher(key) });
    await store.write({ hard: hard(1, 0), append: entries(1, 3), sync: true });
    await store[Symbol.asyncDispose]();
    const files = readdirSync(join(directory, 'log')).map((f) =>
      readFileSync(join(directory, 'log', f)),
    );
    expect(Buffer.concat(files).includes('entry 2')).toBe(false);
    expect(await refusal()).toMatch(/^failed-precondition: .*a key is needed/u);
    const other = recordCipher(new Uint8Array(32).fill(2));
    expect(await refusal({ cipher: other })).toMatch(/^failed-precondition: .*another key/u);
    const again = await reopen({ cipher: recordCipher(key) });
    await again.store[Symbol.asyncDispose]();
    expect(again.stored.entries).toEqual(entries(1, 3));
  });
});

describe('a folder that is not ours is refused', () => {
  test('60/64: wiped', async () => {
    await write({ hard: hard(1, 0), append: entries(1, 3), sync: true });
    rmSync(join(directory, 'log'), { recursive: true });
    expect(await refusal()).toMatch(/^data-loss: .*wiped/u);
    rmSync(join(directory, 'high-water'));
    expect(await refusal()).toMatch(/^data-loss: .*wiped/u);
  });

  test('64: copied from another member', async () => {
    await write({ hard: hard(1, 0), append: entries(1, 3), sync: true });
    const identity = { ...IDENTITY, raftId: 8 };
    expect(await refusal({ identity })).toMatch(/^data-loss: .*raftId is 7, ours is 8/u);
  });

  test('in use', async () => {
    await using held = (await open()).store;
    expect(held.compacted.index).toBe(0);
    expect(await refusal()).toMatch(/in use/u);
  });
});

describe('60: damage is found', () => {
  /** LevelDB's own log of the writes below: every record of ours is in it. */
  function logFile(): string {
    const name = readdirSync(join(directory, 'log')).find((f) => f.endsWith('.log'));
    return join(directory, 'log', name ?? '');
  }

  /** As a killed process leaves it: a copy taken while the store is open. */
  async function crashedLog(): Promise<void> {
    const live = join(directory, 'live');
    const { store } = await open({ storage: new DiskStorage(live) });
    await store.write({ hard: hard(1, 0), append: entries(1, 20), sync: true });
    await store.write({ hard: hard(2, 9), append: entries(15, 30, 2), sync: true });
    await store.write({ hard: hard(2, 20), append: entries(31, 31, 2), sync: true });
    for (const name of ['log', 'high-water']) {
      cpSync(join(live, name), join(directory, name), { recursive: true });
    }
    rmSync(join(directory, 'log', 'LOCK'));
    await store[Symbol.asyncDispose]();
  }

  test('the crashed log itself is whole', async () => {
    await crashedLog();
    expect(await refusal()).toBe('opened');
  });

  test('one flipped bit anywhere in the log', async () => {
    await crashedLog();
    const pristine = join(directory, 'pristine');
    cpSync(join(directory, 'log'), pristine, { recursive: true });
    const size = statSync(logFile()).size;
    const undetected: string[] = [];
    for (let at = 0; at < size; at += 41) {
      rmSync(join(directory, 'log'), { recursive: true });
      cpSync(pristine, join(directory, 'log'), { recursive: true });
      const bytes = readFileSync(logFile());
      bytes[at] = (bytes[at] ?? 0) ^ (1 << (at % 8));
      writeFileSync(logFile(), bytes);
      const answer = await refusal();
      if (!answer.startsWith('data-loss')) undetected.push(`byte ${at}: ${answer}`);
    }
    expect(undetected).toEqual([]);
  });

  test('59: a torn tail that was never acknowledged is dropped', async () => {
    const live = join(directory, 'live');
    const { store } = await open({ storage: new DiskStorage(live) });
    await store.write({ hard: hard(1, 0), append: entries(1, 5), sync: true });
    cpSync(join(live, 'high-water'), join(directory, 'high-water'));
    await store.write({ hard: hard(1, 0), append: entries(6, 9), sync: true });
    cpSync(join(live, 'log'), join(directory, 'log'), { recursive: true });
    await store[Symbol.asyncDispose]();
    truncateSync(logFile(), statSync(logFile()).size - 3);
    const again = await reopen();
    await again.store[Symbol.asyncDispose]();
    expect(again.stored.entries).toEqual(entries(1, 5));
  });

  test('59: the same torn tail after it was acknowledged is damage', async () => {
    await crashedLog();
    truncateSync(logFile(), statSync(logFile()).size - 3);
    expect(await refusal()).toMatch(/^data-loss: .*batch 3 .*batch 4/u);
  });

  test('a high-water file that is gone or unreadable', async () => {
    await crashedLog();
    writeFileSync(join(directory, 'high-water'), Buffer.alloc(128));
    expect(await refusal()).toMatch(/^data-loss: .*high-water file is damaged/u);
    rmSync(join(directory, 'high-water'));
    expect(await refusal()).toMatch(/^data-loss: .*high-water file is missing/u);
  });
});
