/** Docker's json-file format: files of our own, rotated by us. Nothing is lost or repeated when we are killed. */
import { closeSync, ftruncateSync, fstatSync, openSync, writeSync } from 'node:fs';
import { rename, rm, truncate } from 'node:fs/promises';

import { microTimeText } from '@swarmd/base';
import type { LogFileBounds } from '@swarmd/model';

import { logFiles, packLogFile } from '../log-files.ts';
import type { ShipLine, Sink } from './protocol.ts';

export interface JsonFileOptions {
  readonly bounds: LogFileBounds;
  readonly attributes: Readonly<Record<string, string>>;
  readonly place: { readonly generation: number; readonly size: number } | undefined;
  /** A file could not be compressed, and stays as it is. */
  readonly onTrouble: (error: unknown) => void;
}

export class JsonFileSink implements Sink {
  readonly #path: string;
  readonly #bounds: LogFileBounds;
  /** `"attrs":{...},` or nothing. */
  readonly #attributes: string;
  readonly #onTrouble: (error: unknown) => void;
  #file: number;
  #generation: number;
  #size: number;
  #packing: Promise<void> = Promise.resolve();

  private constructor(
    path: string,
    options: Pick<JsonFileOptions, 'bounds' | 'onTrouble'> & { readonly attributes: string },
    place: { readonly file: number; readonly generation: number; readonly size: number },
  ) {
    this.#path = path;
    this.#bounds = options.bounds;
    this.#attributes = options.attributes;
    this.#onTrouble = options.onTrouble;
    this.#file = place.file;
    this.#generation = place.generation;
    this.#size = place.size;
  }

  /** What was written behind `place`, which we did not come to remember, is taken back: it comes again. */
  static async open(path: string, options: JsonFileOptions): Promise<JsonFileSink> {
    const { bounds, place, onTrouble } = options;
    const newest = (await logFiles(path)).at(-1);
    const generation =
      newest?.isNewest === true ? newest.generation : (newest?.generation ?? 0) + 1;
    const file = openSync(path, 'a', 0o600);
    const size = place?.generation === generation ? place.size : 0;
    if (fstatSync(file).size > size) ftruncateSync(file, size);
    const hasAttributes = Object.keys(options.attributes).length > 0;
    const attributes = hasAttributes ? `"attrs":${JSON.stringify(options.attributes)},` : '';
    return new JsonFileSink(path, { bounds, attributes, onTrouble }, { file, generation, size });
  }

  get place(): { readonly generation: number; readonly size: number } {
    return { generation: this.#generation, size: this.#size };
  }

  async write(lines: readonly ShipLine[]): Promise<void> {
    if (this.#size >= this.#bounds.maxBytes) await this.#rotate();
    let text = '';
    for (const { isError, timestamp, text: line } of lines) {
      const log = JSON.stringify(`${line.toString('utf8')}\n`);
      const stream = isError ? 'stderr' : 'stdout';
      text += `{"log":${log},"stream":"${stream}",${this.#attributes}"time":"${microTimeText(timestamp)}"}\n`;
    }
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length;) at += writeSync(this.#file, bytes, at);
    this.#size += bytes.length;
  }

  async #rotate(): Promise<void> {
    await this.#packing;
    closeSync(this.#file);
    const rotated = `${this.#path}.${this.#generation}`;
    await rename(this.#path, rotated);
    // Its name says the generation; what was in it is not to be kept.
    if (this.#bounds.kept === 0) await truncate(rotated);
    this.#file = openSync(this.#path, 'a', 0o600);
    this.#generation += 1;
    this.#size = 0;
    const files = (await logFiles(this.#path)).filter((file) => !file.isNewest);
    for (const file of files.slice(0, -Math.max(this.#bounds.kept, 1))) {
      await rm(file.path, { force: true });
    }
    const last = files.at(-1);
    if (this.#bounds.isCompressed && this.#bounds.kept > 0 && last !== undefined) {
      this.#packing = packLogFile(last, 'gz').catch(this.#onTrouble);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#packing;
    closeSync(this.#file);
  }
}
