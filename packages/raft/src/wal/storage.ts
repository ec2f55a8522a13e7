/**
 * What the log asks of a disk, small enough to be simulated: ordered keys and values with atomic
 * batches, a mark that is written in place, and files that are written once from front to back.
 */

export type Operation =
  | { readonly type: 'put'; readonly key: Buffer; readonly value: Buffer }
  | { readonly type: 'del'; readonly key: Buffer };

export interface KeyRange {
  readonly gte: Buffer;
  readonly lte: Buffer;
}

/** Keys in order of their bytes. */
export interface KeyValueStore {
  get(key: Buffer): Promise<Buffer | undefined>;
  isEmpty(): Promise<boolean>;
  /** In batches, as they are read: one trip per key would take seconds for a long log. */
  scan(range: KeyRange): AsyncIterable<readonly (readonly [Buffer, Buffer])[]>;
  /** All of it or nothing; on the disk once it resolves, if `sync`. One at a time. */
  batch(operations: readonly Operation[], options: { sync: boolean }): Promise<void>;
  /** Neither atomic nor synced. */
  clear(range: KeyRange): Promise<void>;
  close(): Promise<void>;
}

/** A small file that is written in place, slot by slot. */
export interface MarkFile {
  /** Goes to the kernel at once: a killed process loses nothing. */
  write(bytes: Buffer, position: number): void;
  sync(): Promise<void>;
  close(): void;
}

export interface StoredFile {
  /** Undefined when the file ends before `position + length`. */
  read(range: { position: number; length: number }): Promise<Buffer | undefined>;
  /** All of `buffers`, or it throws. */
  write(buffers: readonly Uint8Array[], position: number): Promise<void>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** Everything of one member. Names are those of files, without a folder. */
export interface Storage {
  /** For messages: where an operator finds it. */
  readonly place: string;
  /** @throws SwarmError `failed-precondition` when another process has it open. */
  openDatabase(): Promise<KeyValueStore>;
  /** Undefined when there is none. */
  readMark(): Buffer | undefined;
  openMark(): MarkFile;
  /** `write` empties it first. @throws when it is to be read and not there. */
  openFile(name: string, mode: 'read' | 'write'): Promise<StoredFile>;
  /** Atomic and durable: `to` is the whole file from then on. */
  rename(from: string, to: string): Promise<void>;
  /** Not there: nothing to do. */
  remove(name: string): Promise<void>;
  list(): Promise<readonly string[]>;
}
