/** LevelDB as the log's keys and values: opened with our settings, its errors in our words. */
import { Level } from 'level';

import { errorMessage, SwarmError } from '@swarmd/base';

import { damaged } from './damage.ts';
import { MEMTABLE_BYTES, SCAN_BYTES, SCAN_ENTRIES } from './limits.ts';
import type { KeyRange, KeyValueStore, Operation } from './storage.ts';

/**
 * @throws SwarmError `failed-precondition` when another process has it open, `data-loss` when
 * LevelDB itself finds damage.
 */
export async function openDatabase(directory: string): Promise<KeyValueStore> {
  const database = new Level<Buffer, Buffer>(directory, {
    keyEncoding: 'buffer',
    valueEncoding: 'buffer',
    compression: false,
    writeBufferSize: MEMTABLE_BYTES,
  });
  try {
    await database.open();
    return new LevelStore(database);
  } catch (error) {
    const cause = error instanceof Error ? error.cause : undefined;
    if (codeOf(cause) === 'LEVEL_LOCKED') {
      throw new SwarmError(
        'failed-precondition',
        `the Raft log in ${directory} is in use by another process: stop it first`,
        { cause: error },
      );
    }
    if (codeOf(cause) === 'LEVEL_CORRUPTION') {
      throw damaged(directory, `LevelDB reports: ${errorMessage(cause)}`, error);
    }
    throw new SwarmError(
      'internal',
      `cannot open the Raft log in ${directory}: ${errorMessage(cause ?? error)}`,
      { cause: error },
    );
  }
}

class LevelStore implements KeyValueStore {
  readonly #level: Level<Buffer, Buffer>;

  constructor(level: Level<Buffer, Buffer>) {
    this.#level = level;
  }

  async get(key: Buffer): Promise<Buffer | undefined> {
    // The declared type forgets that a missing key gives undefined.
    const value: Buffer | undefined = await this.#level.get(key);
    return value;
  }

  async isEmpty(): Promise<boolean> {
    const keys = await this.#level.keys({ limit: 1 }).all();
    return keys.length === 0;
  }

  async *scan(range: KeyRange): AsyncGenerator<[Buffer, Buffer][]> {
    const iterator = this.#level.iterator({ ...range, highWaterMarkBytes: SCAN_BYTES });
    try {
      for (;;) {
        const batch = await iterator.nextv(SCAN_ENTRIES);
        if (batch.length === 0) return;
        yield batch;
      }
    } finally {
      await iterator.close();
    }
  }

  batch(operations: readonly Operation[], options: { sync: boolean }): Promise<void> {
    return this.#level.batch([...operations], options);
  }

  clear(range: KeyRange): Promise<void> {
    return this.#level.clear(range);
  }

  close(): Promise<void> {
    return this.#level.close();
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
