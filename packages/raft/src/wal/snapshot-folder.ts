/** The folder of snapshot files: names, and removal of what no record refers to. */
import { mkdirSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { SwarmError } from '@swarmd/base';

import type { EntryId } from '../core/types.ts';
import type { RecordCipher } from './cipher.ts';
import type { SnapshotDescriptor, SnapshotRecord } from './header.ts';
import {
  encodeDescriptor,
  readFrames,
  SnapshotWriter,
  type SnapshotDigest,
} from './snapshot-file.ts';

export class SnapshotFolder {
  readonly #path: string;
  readonly #cipher: RecordCipher | undefined;

  constructor(directory: string, cipher: RecordCipher | undefined) {
    this.#path = join(directory, 'snapshots');
    this.#cipher = cipher;
    mkdirSync(this.#path, { recursive: true, mode: 0o700 });
  }

  /** A file for the snapshot as of `id`, empty but for what the caller appends. */
  begin(id: EntryId): Promise<SnapshotWriter> {
    return SnapshotWriter.create(join(this.#path, fileName(id)), this.#cipher);
  }

  /** As `begin`, with the descriptor written as frame 0. */
  async beginWith(descriptor: SnapshotDescriptor): Promise<SnapshotWriter> {
    const writer = await this.begin(descriptor);
    await writer.append(encodeDescriptor(descriptor));
    return writer;
  }

  record(descriptor: SnapshotDescriptor, digest: SnapshotDigest): SnapshotRecord {
    return { descriptor, file: fileName(descriptor), ...digest };
  }

  /** @throws SwarmError `data-loss`, see `readFrames`; also when it is another snapshot's file. */
  async *frames(record: SnapshotRecord, from = 0): AsyncGenerator<Buffer, SnapshotDigest> {
    const path = join(this.#path, record.file);
    const digest = yield* readFrames(path, this.#cipher, from);
    if (digest.sha256 === record.sha256) return digest;
    throw new SwarmError('data-loss', `the snapshot ${path} is not the one that was written`);
  }

  /** Removes every file but those of `kept`; left-overs of a crash too. */
  async clean(kept: readonly SnapshotRecord[]): Promise<void> {
    const names = new Set(kept.map((record) => record.file));
    for (const name of await readdir(this.#path)) {
      if (!names.has(name)) await rm(join(this.#path, name), { force: true });
    }
  }
}

/** Sorts by index. */
function fileName(id: EntryId): string {
  return `${id.index.toString(16).padStart(14, '0')}-${id.term.toString(16)}.snapshot`;
}
