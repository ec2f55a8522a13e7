/** LevelDB as the log uses it: opened with our settings, its errors in our words. */
import { Level } from 'level';

import { errorMessage, SwarmError } from '@swarmd/base';

import { damaged } from './damage.ts';
import { MEMTABLE_BYTES } from './limits.ts';

export type Database = Level<Buffer, Buffer>;

export type Operation =
  | { readonly type: 'put'; readonly key: Buffer; readonly value: Buffer }
  | { readonly type: 'del'; readonly key: Buffer };

/**
 * @throws SwarmError `failed-precondition` when another process has it open, `data-loss` when
 * LevelDB itself finds damage.
 */
export async function openDatabase(directory: string): Promise<Database> {
  const database: Database = new Level<Buffer, Buffer>(directory, {
    keyEncoding: 'buffer',
    valueEncoding: 'buffer',
    compression: false,
    writeBufferSize: MEMTABLE_BYTES,
  });
  try {
    await database.open();
    return database;
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

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
