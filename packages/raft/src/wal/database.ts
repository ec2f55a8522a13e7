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
    return new LevelStore(directory, database);
  } catch (error) {
    const cause = error instanceof Error ? error.cause : undefined;
    if (codeOf(cause) === 'LEVEL_LOCKED') {
      throw new SwarmError(
        'failed-precondition',
        `the Raft log in ${directory} is in use by another process: stop it first`,
        { cause: error },
      );
    }
    throw levelError(directory, cause ?? error);
  }
}

/**
 * How LevelDB speaks of damage: a checksum of its own, a file that its manifest or CURRENT names
 * and that is not there, a table that is too short to be mapped.
 */
const DAMAGE = /Corruption|No such file or directory|Invalid argument/u;

function levelError(directory: string, cause: unknown): SwarmError {
  const text = errorMessage(cause);
  if (codeOf(cause) === 'LEVEL_CORRUPTION' || DAMAGE.test(text)) {
    return damaged(directory, `LevelDB reports: ${text}`, cause);
  }
  const why = `the Raft log in ${directory} cannot be read: ${text}. Check the disk, then start again`;
  return new SwarmError('internal', why, { cause });
}

const EVERYTHING: KeyRange = { gte: Buffer.alloc(0), lte: Buffer.alloc(16, 0xff) };

class LevelStore implements KeyValueStore {
  readonly #directory: string;
  readonly #level: Level<Buffer, Buffer>;

  constructor(directory: string, level: Level<Buffer, Buffer>) {
    this.#directory = directory;
    this.#level = level;
  }

  async get(key: Buffer): Promise<Buffer | undefined> {
    // The declared type forgets that a missing key gives undefined.
    return await this.#reading<Buffer | undefined>(() => this.#level.get(key));
  }

  async isEmpty(): Promise<boolean> {
    for await (const batch of this.scan(EVERYTHING)) return batch.length === 0;
    return true;
  }

  async *scan(range: KeyRange): AsyncGenerator<[Buffer, Buffer][]> {
    const iterator = this.#level.iterator({ ...range, highWaterMarkBytes: SCAN_BYTES });
    try {
      for (;;) {
        const batch = await this.#reading(() => iterator.nextv(SCAN_ENTRIES));
        if (batch.length === 0) return;
        yield batch;
      }
    } finally {
      await iterator.close();
    }
  }

  /** @throws SwarmError `data-loss` when LevelDB finds damage on the way. */
  async #reading<T>(read: () => Promise<T>): Promise<T> {
    try {
      return await read();
    } catch (error) {
      throw levelError(this.#directory, error);
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
