/** A simulated disk as one life of a member sees it: nothing answers after a crash. */
import { assert } from '@swarmd/base';

import type { KeyValueStore, MarkFile, Storage, StoredFile } from '../../wal/storage.ts';
import type { DiskPart, DiskWorld, SimDisk } from './sim-disk.ts';

export class MountedDisk implements Storage {
  readonly place = '(simulated)';
  readonly #disk: SimDisk;
  readonly #world: DiskWorld;

  constructor(disk: SimDisk, world: DiskWorld) {
    this.#disk = disk;
    this.#world = world;
  }

  openDatabase(): Promise<KeyValueStore> {
    const disk = this.#disk;
    return Promise.resolve({
      get: (key) => Promise.resolve(disk.get(key)),
      isEmpty: () => Promise.resolve(disk.isEmpty()),
      async *scan(range) {
        await Promise.resolve();
        yield disk.scan(range);
      },
      batch: (operations, { sync }) => {
        const pending = { operations, sync };
        for (const file of disk.missingFiles(operations)) this.#world.missing(file);
        if (operations.some((one) => one.type === 'del')) this.#world.moment('truncation');
        disk.begin(pending);
        return this.#after(() => disk.complete(pending), 'database');
      },
      clear: (range) => {
        this.#world.moment('compaction');
        return Promise.resolve(disk.clear(range));
      },
      close: () => Promise.resolve(),
    });
  }

  readMark(): Buffer | undefined {
    return this.#disk.mark?.bytes;
  }

  openMark(): MarkFile {
    const mark = this.#disk.makeMark();
    return {
      write: (bytes, position) => {
        this.#disk.checkWritable('mark');
        mark.bytes = patched(mark.bytes, bytes, position);
      },
      sync: () =>
        this.#after(() => {
          this.#disk.checkWritable('mark');
          mark.synced = mark.bytes;
        }),
      close: () => undefined,
    };
  }

  openFile(name: string, mode: 'read' | 'write'): Promise<StoredFile> {
    const disk = this.#disk;
    if (mode === 'write') disk.files.set(name, { bytes: Buffer.alloc(0), synced: Buffer.alloc(0) });
    const file = disk.files.get(name);
    if (file === undefined) return Promise.reject(new Error(`no such file: ${name}`));
    return Promise.resolve({
      read: ({ position, length }) => {
        const end = position + length;
        const bytes = end > file.bytes.length ? undefined : file.bytes.subarray(position, end);
        return Promise.resolve(bytes);
      },
      write: (buffers, position) => {
        this.#world.moment('snapshot write');
        return this.#after(() => {
          disk.checkWritable('file');
          file.bytes = patched(file.bytes, Buffer.concat(buffers), position);
        });
      },
      sync: () =>
        this.#after(() => {
          disk.checkWritable('file');
          file.synced = file.bytes;
        }),
      close: () => Promise.resolve(),
    });
  }

  rename(from: string, to: string): Promise<void> {
    this.#world.moment('snapshot rename');
    return this.#after(() => {
      const file = this.#disk.files.get(from);
      assert(file !== undefined, `${from} is there to be renamed`);
      this.#disk.files.delete(from);
      this.#disk.files.set(to, file);
    });
  }

  remove(name: string): Promise<void> {
    return this.#after(() => {
      if (this.#disk.refersTo(name)) this.#world.missing(name);
      this.#disk.files.delete(name);
    });
  }

  list(): Promise<readonly string[]> {
    return this.#after(() => [...this.#disk.files.keys()].sort());
  }

  #after<T>(act: () => T, on: DiskPart = 'file'): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#world.later(() => {
        try {
          resolve(act());
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      }, on);
    });
  }
}

function patched(old: Buffer, bytes: Buffer, position: number): Buffer {
  const length = Math.max(old.length, position + bytes.length);
  const whole = Buffer.alloc(length);
  old.copy(whole);
  bytes.copy(whole, position);
  return whole;
}
