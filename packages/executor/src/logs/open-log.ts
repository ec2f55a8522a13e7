/** One file of a log, open for reading from some place on, plain or compressed; only whole rows come out. */
import { createReadStream } from 'node:fs';
import { open, stat, type FileHandle } from 'node:fs/promises';
import type { Readable } from 'node:stream';

import { errnoOf } from '../files/atomic-file.ts';
import { LOG_CHUNK_BYTES, LOG_ROW_MAX_BYTES } from '../limits.ts';
import { logFiles, unpacker, type LogFile } from './log-files.ts';
import type { LogBytes } from './log-scanner.ts';

const NEWLINE = 0x0a;

interface Input {
  /** Undefined at the end, which may be only for now. */
  read(into: Buffer, from: number): Promise<number>;
  close(): Promise<void>;
}

export class OpenLog implements AsyncDisposable {
  readonly generation: number;
  readonly #input: Input;
  /** Of the first byte that was not given out. */
  #offset: number;
  #rest: Buffer = Buffer.alloc(0);

  private constructor(generation: number, input: Input, offset: number) {
    this.generation = generation;
    this.#input = input;
    this.#offset = offset;
  }

  /**
   * The file of a generation, or the oldest one after it.
   * @returns undefined when there is none (yet).
   */
  static async open(
    path: string,
    { generation, offset }: { readonly generation: number; readonly offset: number },
  ): Promise<OpenLog | undefined> {
    for (;;) {
      const before = await logFiles(path);
      const file = before.find((one) => one.generation >= generation);
      if (file === undefined) return undefined;
      const from = file.generation === generation ? offset : 0;
      const input = await openInput(file, from);
      if (input === undefined) continue;
      if (!file.isNewest) return new OpenLog(file.generation, input, from);
      // Only without a rotation in between it is known which one this is.
      const after = await logFiles(path);
      const newest = after.at(-1);
      if (newest?.generation === file.generation && newest.isNewest) {
        return new OpenLog(file.generation, input, from);
      }
      await input.close();
    }
  }

  /** @returns undefined when it has gone. */
  static async openFile(file: LogFile, offset: number): Promise<OpenLog | undefined> {
    const input = await openInput(file, offset);
    return input === undefined ? undefined : new OpenLog(file.generation, input, offset);
  }

  /** Behind what is there now, at the beginning of a row or in the middle of one that is being written. */
  static async openEnd(path: string): Promise<OpenLog | undefined> {
    const file = (await logFiles(path)).at(-1);
    // What is being written to is never compressed.
    if (file === undefined || file.packing !== undefined) return undefined;
    const { size } = await stat(file.path);
    return OpenLog.open(path, { generation: file.generation, offset: size });
  }

  /** The next whole rows; undefined when there are none (yet). */
  async read(): Promise<LogBytes | undefined> {
    for (;;) {
      const kept = this.#rest.length;
      const buffer = Buffer.allocUnsafe(Math.max(LOG_CHUNK_BYTES, kept * 2));
      this.#rest.copy(buffer);
      const more = await this.#input.read(buffer, kept);
      if (more === 0) return undefined;
      const filled = buffer.subarray(0, kept + more);
      const end = filled.lastIndexOf(NEWLINE) + 1;
      this.#rest = filled.subarray(end);
      const offset = this.#offset;
      if (end > 0) {
        this.#offset += end;
        return { bytes: filled.subarray(0, end), generation: this.generation, offset };
      }
      // Nobody who writes logs writes rows of this size: not ours, and not to be held in memory.
      if (filled.length > LOG_ROW_MAX_BYTES) {
        this.#offset += filled.length;
        this.#rest = Buffer.alloc(0);
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input.close();
  }
}

/** Undefined when it has gone, or was compressed, meanwhile. */
async function openInput(file: LogFile, offset: number): Promise<Input | undefined> {
  try {
    if (file.packing !== undefined) return await PackedInput.open(file, offset);
    return new PlainInput(await open(file.path, 'r'), offset);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

class PlainInput implements Input {
  readonly #file: FileHandle;
  #position: number;

  constructor(file: FileHandle, position: number) {
    this.#file = file;
    this.#position = position;
  }

  async read(into: Buffer, from: number): Promise<number> {
    const { bytesRead } = await this.#file.read(into, from, into.length - from, this.#position);
    this.#position += bytesRead;
    return bytesRead;
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

class PackedInput implements Input {
  readonly #stream: Readable;
  readonly #chunks: AsyncIterator<Buffer>;
  #skip: number;
  #chunk: Buffer = Buffer.alloc(0);

  private constructor(stream: Readable, skip: number) {
    this.#stream = stream;
    this.#chunks = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
    this.#skip = skip;
  }

  static async open(file: LogFile, skip: number): Promise<PackedInput> {
    const handle = await open(file.path, 'r');
    const plain = unpacker(file.packing ?? 'gz');
    const source = createReadStream('', { fd: handle });
    source.on('error', (error) => plain.destroy(error));
    return new PackedInput(source.pipe(plain), skip);
  }

  async read(into: Buffer, from: number): Promise<number> {
    while (this.#chunk.length === 0) {
      const next = await this.#chunks.next();
      if (next.done === true) return 0;
      const skipped = Math.min(this.#skip, next.value.length);
      this.#skip -= skipped;
      this.#chunk = next.value.subarray(skipped);
    }
    const count = this.#chunk.copy(into, from);
    this.#chunk = this.#chunk.subarray(count);
    return count;
  }

  async close(): Promise<void> {
    this.#stream.destroy();
    await this.#chunks.return?.();
  }
}
