/** Storage in a folder: LevelDB under `log/`, the mark `high-water`, snapshot files in `snapshots/`. */
import {
  closeSync,
  existsSync,
  fdatasync,
  mkdirSync,
  openSync,
  readFileSync,
  writeSync,
} from 'node:fs';
import { open, readdir, rename, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { SwarmError } from '@swarmd/base';

import { openDatabase } from './database.ts';
import type { KeyValueStore, MarkFile, Storage, StoredFile } from './storage.ts';

const sync = promisify(fdatasync);

export class DiskStorage implements Storage {
  readonly place: string;
  readonly #snapshots: string;

  /** Creates the folder when it is missing. */
  constructor(directory: string) {
    this.place = directory;
    this.#snapshots = join(directory, 'snapshots');
    mkdirSync(this.#snapshots, { recursive: true, mode: 0o700 });
  }

  openDatabase(): Promise<KeyValueStore> {
    return openDatabase(join(this.place, 'log'));
  }

  readMark(): Buffer | undefined {
    const path = this.#markPath();
    return existsSync(path) ? readFileSync(path) : undefined;
  }

  openMark(): MarkFile {
    const path = this.#markPath();
    const descriptor = openSync(path, existsSync(path) ? 'r+' : 'w+', 0o600);
    return {
      write: (bytes, position) => void writeSync(descriptor, bytes, 0, bytes.length, position),
      sync: () => sync(descriptor),
      close: () => closeSync(descriptor),
    };
  }

  async openFile(name: string, mode: 'read' | 'write'): Promise<StoredFile> {
    const path = join(this.#snapshots, name);
    return new DiskFile(path, await open(path, mode === 'read' ? 'r' : 'w', 0o600));
  }

  async rename(from: string, to: string): Promise<void> {
    await rename(join(this.#snapshots, from), join(this.#snapshots, to));
    const folder = await open(this.#snapshots, 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  }

  async remove(name: string): Promise<void> {
    await rm(join(this.#snapshots, name), { force: true });
  }

  list(): Promise<readonly string[]> {
    return readdir(this.#snapshots);
  }

  #markPath(): string {
    return join(this.place, 'high-water');
  }
}

class DiskFile implements StoredFile {
  readonly #path: string;
  readonly #file: FileHandle;

  constructor(path: string, file: FileHandle) {
    this.#path = path;
    this.#file = file;
  }

  async read(range: { position: number; length: number }): Promise<Buffer | undefined> {
    const buffer = Buffer.alloc(range.length);
    let done = 0;
    while (done < range.length) {
      const position = range.position + done;
      const { bytesRead } = await this.#file.read(buffer, done, range.length - done, position);
      if (bytesRead === 0) return undefined;
      done += bytesRead;
    }
    return buffer;
  }

  /** A write that failed half-way is written over by the next one. */
  async write(buffers: readonly Uint8Array[], position: number): Promise<void> {
    const bytes = buffers.reduce((sum, buffer) => sum + buffer.length, 0);
    const { bytesWritten } = await this.#file.writev([...buffers], position);
    if (bytesWritten === bytes) return;
    throw new SwarmError('internal', `${this.#path}: ${bytesWritten} of ${bytes} bytes written`);
  }

  sync(): Promise<void> {
    return this.#file.sync();
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}
