/**
 * Files of our own, rotated between two lines: one is never longer than its bound and the line that crossed it.
 * Nothing is lost or repeated when we are killed.
 */
import {
  closeSync,
  fstatSync,
  ftruncateSync,
  openSync,
  renameSync,
  rmSync,
  truncateSync,
  writeSync,
} from 'node:fs';

import type { LogFileBounds } from '@swarmd/model';

import { logFiles, packLogFile } from '../log-files.ts';
import { RowBuffer, type FileFormat } from './file-formats.ts';
import type { ShipLine, Sink } from './protocol.ts';

export interface FileSinkOptions {
  readonly format: FileFormat;
  readonly bounds: LogFileBounds;
  readonly place: { readonly generation: number; readonly size: number } | undefined;
  /** A file could not be compressed, and stays as it is. */
  readonly onTrouble: (error: unknown) => void;
}

export class FileSink implements Sink {
  readonly #path: string;
  readonly #rows = new RowBuffer();
  readonly #format: FileFormat;
  readonly #bounds: LogFileBounds;
  readonly #onTrouble: (error: unknown) => void;
  #file: number;
  #generation: number;
  #size: number;
  /** Generations of the rotated files, oldest first. */
  #rotated: number[];
  readonly #unpacked: Set<number>;
  #packing: Promise<void> | undefined;

  private constructor(
    path: string,
    options: FileSinkOptions,
    found: { readonly rotated: number[]; readonly unpacked: Set<number> },
  ) {
    const { format, bounds, place, onTrouble } = options;
    this.#path = path;
    this.#format = format;
    this.#bounds = bounds;
    this.#onTrouble = onTrouble;
    this.#rotated = found.rotated;
    this.#unpacked = found.unpacked;
    this.#generation = (found.rotated.at(-1) ?? 0) + 1;
    this.#file = openSync(path, 'a', 0o600);
    this.#size = place?.generation === this.#generation ? place.size : 0;
    if (fstatSync(this.#file).size > this.#size) ftruncateSync(this.#file, this.#size);
  }

  /** What was written behind `place`, which we did not come to remember, is taken back: it comes again. */
  static async open(path: string, options: FileSinkOptions): Promise<FileSink> {
    const files = (await logFiles(path)).filter((file) => !file.isNewest);
    const plain = files.filter(({ packing }) => packing === undefined);
    const generationsOf = (list: typeof files): number[] => list.map((file) => file.generation);
    const unpacked = new Set(generationsOf(plain));
    return new FileSink(path, options, { rotated: generationsOf(files), unpacked });
  }

  get place(): { readonly generation: number; readonly size: number } {
    return { generation: this.#generation, size: this.#size };
  }

  /** As many lines as this file takes: what has been written is remembered before another is begun. */
  write(lines: readonly ShipLine[]): Promise<number> {
    if (this.#size >= this.#bounds.maxBytes) this.#rotate();
    const room = this.#bounds.maxBytes - this.#size;
    const rows = this.#rows;
    rows.clear();
    let taken = 0;
    for (const line of lines) {
      if (rows.length >= room) break;
      this.#format.write(rows, line);
      taken += 1;
    }
    this.#append(rows.bytes());
    return Promise.resolve(taken);
  }

  #append(bytes: Buffer): void {
    try {
      for (let at = 0; at < bytes.length;) at += writeSync(this.#file, bytes, at);
    } catch (error) {
      // A full disk takes a part of it, and all of it comes again.
      ftruncateSync(this.#file, this.#size);
      throw error;
    }
    this.#size += bytes.length;
  }

  #rotate(): void {
    const { kept, isCompressed } = this.#bounds;
    const rotated = this.#nameOf(this.#generation);
    renameSync(this.#path, rotated);
    let next: number;
    try {
      next = openSync(this.#path, 'a', 0o600);
    } catch (error) {
      renameSync(rotated, this.#path);
      throw error;
    }
    closeSync(this.#file);
    this.#file = next;
    this.#size = 0;
    this.#rotated.push(this.#generation);
    this.#unpacked.add(this.#generation);
    this.#generation += 1;
    // Its name says the generation; what was in it is not to be kept.
    if (kept === 0) truncateSync(rotated);
    for (const old of this.#rotated.splice(0, this.#rotated.length - Math.max(kept, 1))) {
      this.#unpacked.delete(old);
      this.#removeOld(old);
    }
    if (isCompressed && kept > 0) this.#packing ??= this.#pack();
  }

  /** Never waited for while lines come: in a flood files go before anybody would have compressed them. */
  async #pack(): Promise<void> {
    for (;;) {
      const generation = Math.max(...this.#unpacked);
      if (!this.#unpacked.delete(generation)) break;
      const path = this.#nameOf(generation);
      const file = { path, generation, packing: undefined, isNewest: false };
      await packLogFile(file, this.#format.packing).catch(this.#onTrouble);
      if (!this.#rotated.includes(generation)) this.#removeOld(generation);
    }
    this.#packing = undefined;
  }

  #removeOld(generation: number): void {
    const path = this.#nameOf(generation);
    for (const name of [path, `${path}.${this.#format.packing}`]) rmSync(name, { force: true });
  }

  #nameOf(generation: number): string {
    return `${this.#path}.${generation}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#packing;
    closeSync(this.#file);
  }
}
