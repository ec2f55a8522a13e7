/** The folder of snapshot files: names, and removal of what no record refers to. */
import { SwarmError } from '@swarmd/base';

import type { EntryId } from '../core/types.ts';
import type { RecordCipher } from './cipher.ts';
import type { SnapshotDescriptor, SnapshotRecord } from './header.ts';
import {
  encodeDescriptor,
  readFrames,
  SnapshotWriter,
  type SnapshotDigest,
  type SnapshotPlace,
} from './snapshot-file.ts';
import type { Storage } from './storage.ts';

export class SnapshotFolder {
  readonly #storage: Storage;
  readonly #cipher: RecordCipher | undefined;

  constructor(storage: Storage, cipher: RecordCipher | undefined) {
    this.#storage = storage;
    this.#cipher = cipher;
  }

  /** A file for the snapshot as of `id`, empty but for what the caller appends. */
  begin(id: EntryId): Promise<SnapshotWriter> {
    return SnapshotWriter.create(this.#place(fileName(id)));
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
    const digest = yield* readFrames(this.#place(record.file), from);
    if (digest.sha256 === record.sha256) return digest;
    throw new SwarmError(
      'data-loss',
      `the snapshot ${record.file} in ${this.#storage.place} is not the one that was written`,
    );
  }

  /**
   * Removes every file but those of `kept`; left-overs of a crash too. `kept` is asked before every
   * removal, as more may have come meanwhile; undefined: no file may be touched now.
   */
  async clean(kept: () => readonly SnapshotRecord[] | undefined): Promise<void> {
    for (const name of await this.#storage.list()) {
      const records = kept();
      if (records === undefined) return;
      if (records.every((record) => record.file !== name)) await this.#storage.remove(name);
    }
  }

  #place(name: string): SnapshotPlace {
    return { storage: this.#storage, name, cipher: this.#cipher };
  }
}

/** Sorts by index. */
function fileName(id: EntryId): string {
  return `${id.index.toString(16).padStart(14, '0')}-${id.term.toString(16)}.snapshot`;
}
