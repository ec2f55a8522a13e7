/**
 * A container's log from its files, oldest line first, following the newest file and its rotations.
 * Woken by inotify; a slow timer covers what inotify may miss.
 */
import { watch } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';

import { abortReason, type Clock } from '@swarmd/base';

import { errnoOf } from '../files/atomic-file.ts';
import { LOG_POLL_MS, LOG_TAIL_MAX_BYTES } from '../limits.ts';
import type { LogLine, LogOptions } from '../types.ts';
import { logFiles, type LogFile } from './log-files.ts';
import { LogAssembler, PieceSplitter } from './log-line.ts';

export interface LogSource {
  /** The newest file. */
  readonly path: string;
  /** Rotated files that there may be. */
  readonly kept: number;
  readonly clock: Clock;
  /** Whether nothing more will be written. */
  readonly isEnded: () => boolean;
  /** Resolves when `isEnded` becomes true. */
  readonly ended: Promise<unknown>;
}

const CHUNK_BYTES = 64 * 1024;

/** Ends at the end of the log, with `follow` only once the container has ended. */
export async function* readLog(
  source: LogSource,
  options: LogOptions,
  signal: AbortSignal,
): AsyncGenerator<LogLine> {
  const since = options.sinceMs ?? Number.NEGATIVE_INFINITY;
  const wanted = (lines: readonly LogLine[]): LogLine[] =>
    lines.filter((line) => line.timestamp >= since);
  const assembler = new LogAssembler();
  let tail = options.tail === undefined ? undefined : new Tail(options.tail);
  for await (const step of follow(
    source,
    { isFollowing: options.follow, from: undefined },
    signal,
  )) {
    if (step === 'caught-up') {
      if (options.follow && tail !== undefined) {
        yield* tail.take();
        tail = undefined;
      }
      continue;
    }
    const lines = wanted(assembler.push(step));
    if (tail === undefined) yield* lines;
    else tail.add(lines);
  }
  const rest = wanted(assembler.flush());
  if (tail === undefined) yield* rest;
  else {
    tail.add(rest);
    yield* tail.take();
  }
}

/**
 * What is printed from the call on, piece by piece as it comes, newlines included. Ends once the
 * container has ended and everything was read.
 */
export async function readPieces(
  source: LogSource,
  signal: AbortSignal,
): Promise<AsyncGenerator<{ readonly stream: LogLine['stream']; readonly data: Buffer }>> {
  const end = await OpenLog.open((await logFiles(source.path, source.kept)).at(-1), 'end');
  return pieces(follow(source, { isFollowing: true, from: end }, signal));
}

async function* pieces(
  steps: AsyncIterable<Buffer | 'caught-up'>,
): AsyncGenerator<{ readonly stream: LogLine['stream']; readonly data: Buffer }> {
  const splitter = new PieceSplitter();
  for await (const step of steps) {
    if (step === 'caught-up') continue;
    for (const { stream, data, isPartial } of splitter.push(step)) {
      yield { stream, data: isPartial ? Buffer.from(data) : Buffer.concat([data, NEWLINE]) };
    }
  }
}

const NEWLINE = Buffer.from('\n');

/** The last lines, bounded in number and bytes. */
class Tail {
  readonly #count: number;
  #lines: LogLine[] = [];
  #bytes = 0;

  constructor(count: number) {
    this.#count = count;
  }

  add(lines: readonly LogLine[]): void {
    for (const line of lines) {
      this.#lines.push(line);
      this.#bytes += line.data.length;
    }
    while (this.#lines.length > this.#count || this.#bytes > LOG_TAIL_MAX_BYTES) {
      this.#bytes -= this.#lines.shift()?.data.length ?? 0;
    }
  }

  take(): LogLine[] {
    const lines = this.#lines;
    this.#lines = [];
    return lines;
  }
}

/** Bytes of the log in order; 'caught-up' once, when all that was there has been given. */
async function* follow(
  source: LogSource,
  { isFollowing, from }: { readonly isFollowing: boolean; readonly from: OpenLog | undefined },
  signal: AbortSignal,
): AsyncGenerator<Buffer | 'caught-up'> {
  using bell = new Bell(source, isFollowing, signal);
  let current = from;
  let isCaughtUp = false;
  try {
    for (;;) {
      if (signal.aborted) throw abortReason(signal);
      current ??= await OpenLog.open((await logFiles(source.path, source.kept))[0]);
      const chunk = await current?.read();
      if (chunk !== undefined) {
        yield chunk;
        continue;
      }
      // Both are looked at before the last read: what was written before them is then certainly read.
      const isEnded = source.isEnded();
      const files = await logFiles(source.path, source.kept);
      const last = await current?.read();
      if (last !== undefined) {
        yield last;
        continue;
      }
      const next = current?.successor(files);
      if (next !== undefined) {
        await current?.close();
        current = await OpenLog.open(next);
        continue;
      }
      if (!isCaughtUp) yield 'caught-up';
      isCaughtUp = true;
      if (isEnded || !isFollowing) return;
      await bell.rung();
    }
  } finally {
    await current?.close();
  }
}

class OpenLog {
  readonly #file: FileHandle;
  readonly #inode: number;
  #position: number;
  readonly #buffer = Buffer.allocUnsafe(CHUNK_BYTES);

  private constructor(file: FileHandle, inode: number, position: number) {
    this.#file = file;
    this.#inode = inode;
    this.#position = position;
  }

  static async open(
    file: LogFile | undefined,
    from: 'start' | 'end' = 'start',
  ): Promise<OpenLog | undefined> {
    if (file === undefined) return undefined;
    try {
      const handle = await open(file.path, 'r');
      const { ino, size } = await handle.stat();
      return new OpenLog(handle, ino, from === 'end' ? size : 0);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** The next bytes, valid until the next call; undefined at the end of the file. */
  async read(): Promise<Buffer | undefined> {
    const { bytesRead } = await this.#file.read(this.#buffer, 0, CHUNK_BYTES, this.#position);
    this.#position += bytesRead;
    return bytesRead === 0 ? undefined : this.#buffer.subarray(0, bytesRead);
  }

  /** The file after this one; the oldest, when this one has been rotated away. */
  successor(files: readonly LogFile[]): LogFile | undefined {
    const index = files.findIndex((file) => file.inode === this.#inode);
    return files[index + 1];
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

/** Rings when the log's folder changes, the container ends, time has passed, or the reader gives up. */
class Bell implements Disposable {
  readonly #clock: Clock;
  readonly #stop: () => void;
  #isRung = false;
  #wake: (() => void) | undefined;

  constructor(source: LogSource, isNeeded: boolean, signal: AbortSignal) {
    this.#clock = source.clock;
    const ring = (): void => {
      this.#isRung = true;
      this.#wake?.();
    };
    if (!isNeeded) {
      this.#stop = () => undefined;
      return;
    }
    const watcher = watch(dirname(source.path), { persistent: false }, ring);
    // The timer still works without inotify.
    watcher.on('error', () => undefined);
    void source.ended.then(ring);
    signal.addEventListener('abort', ring, { once: true });
    this.#stop = () => {
      watcher.close();
      signal.removeEventListener('abort', ring);
    };
  }

  async rung(): Promise<void> {
    if (!this.#isRung) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      const timer = this.#clock.after(LOG_POLL_MS, resolve);
      await promise;
      timer.cancel();
    }
    this.#isRung = false;
  }

  [Symbol.dispose](): void {
    this.#stop();
  }
}
