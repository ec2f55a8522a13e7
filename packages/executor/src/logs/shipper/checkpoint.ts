/**
 * How far a log has been passed on. Written after each batch in one call to one block of one file: we may be
 * killed at any point, and it is then what it was before or after.
 */
import { readFileSync, writeSync } from 'node:fs';

import { errnoOf } from '../../files/atomic-file.ts';

export interface Checkpoint {
  /** Of the log, as readers have it. */
  readonly cursor: string;
  /** Of json-file: which of its files, and how long that is. */
  readonly output: { readonly generation: number; readonly size: number };
  /** Lines that were given up. */
  readonly dropped: number;
}

const BYTES = 128;

export function readCheckpoint(path: string): Checkpoint | undefined {
  try {
    const [cursor = '', generation, size, dropped] = readFileSync(path, 'latin1').trim().split(' ');
    if (cursor === '') return undefined;
    const output = { generation: Number(generation), size: Number(size) };
    return { cursor, output, dropped: Number(dropped) };
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

export function writeCheckpoint(file: number, { cursor, output, dropped }: Checkpoint): void {
  const text = `${cursor} ${output.generation} ${output.size} ${dropped}`;
  writeSync(file, Buffer.from(text.padEnd(BYTES), 'latin1'), 0, BYTES, 0);
}
