/**
 * A JSON value in a file, replaced atomically. Writes coalesce: while one is under way the next ones
 * become a single one with the newest value. Bytes are written as `{ "$bytes": base64 }`.
 */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

import { SwarmError, errorMessage } from '@swarmd/base';

/** Assignments hold what services tell their containers: for root's eyes only. */
const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;

export class JsonFile<T> {
  readonly #path: string;
  #value: (() => T) | undefined;
  #writing: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /**
   * The value last written; undefined when there is none.
   * @throws SwarmError `data-loss` when the file is not what `save` writes.
   */
  async load(): Promise<T | undefined> {
    let text: string;
    try {
      text = await readFile(this.#path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
    try {
      return JSON.parse(text, revive) as T;
    } catch (cause) {
      throw new SwarmError('data-loss', `${this.#path} is damaged: ${errorMessage(cause)}`, {
        cause,
      });
    }
  }

  /** Resolves once this value or a newer one is in the file. `value` is asked for when it is written. */
  save(value: () => T): Promise<void> {
    this.#value = value;
    if (this.#writing === undefined) {
      this.#writing = this.#write().finally(() => (this.#writing = undefined));
      return this.#writing;
    }
    this.#next ??= this.#writing
      .then(
        () => undefined,
        () => undefined, // Its caller hears of it; this write stands on its own.
      )
      .then(() => {
        this.#next = undefined;
        return this.save(this.#value ?? value);
      });
    return this.#next;
  }

  async #write(): Promise<void> {
    const text = JSON.stringify(this.#value?.(), replace);
    const temporary = `${this.#path}.new`;
    await mkdir(dirname(this.#path), { recursive: true, mode: FOLDER_MODE });
    await writeFile(temporary, text, { mode: FILE_MODE });
    await rename(temporary, this.#path);
  }
}

function replace(this: unknown, key: string, value: unknown): unknown {
  // JSON.stringify has already called Buffer.toJSON on `value`; the holder still has the original.
  const original: unknown = (this as Record<string, unknown>)[key];
  if (original instanceof Uint8Array) return { $bytes: Buffer.from(original).toString('base64') };
  return value;
}

function revive(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !('$bytes' in value)) return value;
  const encoded = value.$bytes;
  return typeof encoded === 'string' ? new Uint8Array(Buffer.from(encoded, 'base64')) : value;
}
