/**
 * A container's log from its files, oldest line first, following the newest file and its rotations.
 * Woken by inotify; a slow timer covers what inotify may miss.
 */
import { watch } from 'node:fs';
import { dirname } from 'node:path';

import { abortReason, type Clock } from '@swarmd/base';
import { logColumns, logLines, type LogChunk, type LogLine } from '@swarmd/model';

import { LOG_POLL_MS, LOG_TAIL_MAX_BYTES } from '../limits.ts';
import type { LogOptions } from '../types.ts';
import { ConmonRows, emptyRow, JsonRows, parseRow, type RowFormat } from './log-rows.ts';
import { LogScanner, parseCursor } from './log-scanner.ts';
import type { LogBytes, LogPosition } from './log-scanner.ts';
import { tailPosition } from './log-tail.ts';
import { OpenLog } from './open-log.ts';

export interface LogSource {
  /** The newest file. */
  readonly path: string;
  readonly format: 'conmon' | 'json';
  readonly clock: Clock;
  /** Whether nothing more will be written. */
  readonly isEnded: () => boolean;
  /** Resolves when `isEnded` becomes true. */
  readonly ended: Promise<unknown>;
}

function rowsOf({ format }: LogSource): RowFormat {
  return format === 'json' ? new JsonRows() : new ConmonRows();
}

const OLDEST: LogPosition = { generation: 0, offset: 0, skip: 0 };

/**
 * Ends at the end of the log, with `follow` only once the container has ended. A reader that is slower
 * than the rotation of the files is told what it missed.
 */
export async function* readLog(
  source: LogSource,
  options: LogOptions,
  signal: AbortSignal,
): AsyncGenerator<LogChunk> {
  for await (const { chunk } of readPlaced(source, options, signal)) yield chunk;
}

export interface PlacedChunk {
  readonly chunk: LogChunk;
  /** Cursor of the place before its first line; not of a tail, whose lines were picked. */
  readonly start: string;
}

/** As `readLog`, for who may take a part of a chunk. */
export async function* readPlaced(
  source: LogSource,
  options: LogOptions,
  signal: AbortSignal,
): AsyncGenerator<PlacedChunk> {
  const { follow: isFollowing, tail: count, after, sinceMs, untilMs } = options;
  const rows = rowsOf(source);
  let from = OLDEST;
  if (after !== undefined) from = parseCursor(after);
  else if (count !== undefined) from = await tailPosition(source.path, rows, count);
  const scanner = new LogScanner(rows, { sinceMs, untilMs, skip: from.skip });
  const placed = (chunk: LogChunk): PlacedChunk => ({ chunk, start: scanner.start });
  let tail = count === undefined || after !== undefined ? undefined : new Tail(count);
  for await (const step of follow(source, { isFollowing, from, untilMs }, signal)) {
    if (step === 'caught-up') {
      if (!isFollowing || tail === undefined) continue;
      yield placed(tail.chunk(scanner.cursor));
      tail = undefined;
      continue;
    }
    if ('missed' in step) scanner.expectAll();
    const chunk = 'missed' in step ? noticeOf(step, scanner.cursor) : scanner.scan(step);
    if (tail !== undefined) tail.add(chunk);
    else if (hasContent(chunk)) yield placed(chunk);
    if (scanner.isPast && isFollowing) return;
  }
  const rest = scanner.flush();
  if (tail !== undefined) {
    tail.add(rest);
    yield placed(tail.chunk(rest.cursor));
  } else if (hasContent(rest)) yield placed(rest);
}

/**
 * What is printed from the call on, piece by piece as it comes, newlines included. Ends once the
 * container has ended and everything was read.
 */
export async function readPieces(
  source: LogSource,
  signal: AbortSignal,
): Promise<AsyncGenerator<{ readonly stream: LogLine['stream']; readonly data: Buffer }>> {
  const end = await OpenLog.openEnd(source.path);
  const range = { isFollowing: true, from: OLDEST, opened: end, untilMs: undefined };
  return pieces(source, follow(source, range, signal));
}

async function* pieces(
  source: LogSource,
  steps: AsyncIterable<Step>,
): AsyncGenerator<{ readonly stream: LogLine['stream']; readonly data: Buffer }> {
  const rows = rowsOf(source);
  const row = emptyRow();
  for await (const step of steps) {
    if (step === 'caught-up' || 'missed' in step) continue;
    const { bytes } = step;
    for (
      let start = 0, end = bytes.indexOf(NEWLINE);
      end >= 0;
      end = bytes.indexOf(NEWLINE, start)
    ) {
      const isRow = parseRow(rows, row, { bytes, from: start, to: end });
      start = end + 1;
      if (!isRow) continue;
      const text = row.source.subarray(row.from, row.to);
      const data = row.isPartial ? text : Buffer.concat([text, LINE_END]);
      yield { stream: row.isError ? 'stderr' : 'stdout', data };
    }
  }
}

const NEWLINE = 0x0a;
const LINE_END = Buffer.from('\n');

/** The last lines, bounded in number and bytes. */
class Tail {
  readonly #count: number;
  #lines: LogLine[] = [];
  #bytes = 0;

  constructor(count: number) {
    this.#count = count;
  }

  add(chunk: LogChunk): void {
    for (const line of logLines(chunk)) {
      this.#lines.push(line);
      this.#bytes += line.data.length;
    }
    let dropped = 0;
    while (this.#lines.length - dropped > this.#count || this.#bytes > LOG_TAIL_MAX_BYTES) {
      this.#bytes -= this.#lines[dropped]?.data.length ?? 0;
      dropped += 1;
    }
    this.#lines.splice(0, dropped);
  }

  chunk(cursor: string): LogChunk {
    return { ...logColumns(this.#lines), cursor, notice: '' };
  }
}

interface Missed {
  /** Rotated files that were removed before they were read. */
  readonly missed: number;
}

type Step = LogBytes | Missed | 'caught-up';

/** Bytes of the log in order; 'caught-up' once, when all that was there has been given. */
async function* follow(
  source: LogSource,
  range: {
    readonly isFollowing: boolean;
    readonly from: LogPosition;
    readonly untilMs: number | undefined;
    readonly opened?: OpenLog | undefined;
  },
  signal: AbortSignal,
): AsyncGenerator<Step> {
  const { isFollowing, from, untilMs = Number.POSITIVE_INFINITY } = range;
  const { path, clock } = source;
  using bell = new Bell(source, isFollowing, signal);
  let current = range.opened;
  let isCaughtUp = false;
  try {
    for (;;) {
      if (signal.aborted) throw abortReason(signal);
      if (current === undefined) {
        current = await OpenLog.open(path, from);
        const missed = from.generation === 0 ? 0 : (current?.generation ?? 0) - from.generation;
        if (missed > 0) yield { missed };
      }
      const bytes = await current?.read();
      if (bytes !== undefined) {
        yield bytes;
        continue;
      }
      // Both are looked at before the last read: what was written before them is then certainly read.
      const isEnded = source.isEnded();
      const isPast = clock.now() > untilMs;
      const next = await successor(path, current);
      const last = await current?.read();
      if (last !== undefined) {
        yield last;
        continue;
      }
      if (current !== undefined && next !== undefined) {
        const missed = next.generation - current.generation - 1;
        await current[Symbol.asyncDispose]();
        current = next;
        if (missed > 0) yield { missed };
        continue;
      }
      if (!isCaughtUp) yield 'caught-up';
      isCaughtUp = true;
      if (isEnded || isPast || !isFollowing) return;
      await bell.rung();
    }
  } finally {
    await current?.[Symbol.asyncDispose]();
  }
}

/** The file after this one, once there is one: then nobody writes to this one any more. */
async function successor(path: string, current: OpenLog | undefined): Promise<OpenLog | undefined> {
  if (current === undefined) return undefined;
  return OpenLog.open(path, { generation: current.generation + 1, offset: 0 });
}

function noticeOf({ missed }: Missed, cursor: string): LogChunk {
  const files = missed === 1 ? 'one file' : `${missed} files`;
  const notice = `lines are missing here: ${files} of this log were rotated away before they were read`;
  return { ...logColumns([]), cursor, notice };
}

function hasContent({ lengths, notice }: LogChunk): boolean {
  return lengths.length > 0 || notice !== '';
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
