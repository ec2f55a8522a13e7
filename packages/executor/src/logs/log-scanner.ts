/** Rows of a log file to lines in columns, and where to go on behind them. Pure. */
import { SwarmError } from '@swarmd/base';
import type { LogChunk, LogStream } from '@swarmd/model';

import { LOG_LINE_MAX_BYTES } from '../limits.ts';
import { emptyRow, parseRow, type RowFormat } from './log-rows.ts';

const NEWLINE = 0x0a;

/**
 * A place between two lines. While a line is in pieces, that place is where its first piece is, and
 * `skip` counts the lines of the other stream that were completed since.
 */
export interface LogPosition {
  readonly generation: number;
  readonly offset: number;
  readonly skip: number;
}

/** Bytes of one file that end with a row. */
export interface LogBytes {
  readonly bytes: Buffer;
  readonly generation: number;
  /** Of the first byte. */
  readonly offset: number;
}

interface Partial {
  readonly timestamp: number;
  readonly parts: Buffer[];
  length: number;
}

export interface LogFilter {
  readonly sinceMs?: number | undefined;
  readonly untilMs?: number | undefined;
  /** Lines that were had before. */
  readonly skip: number;
}

export class LogScanner {
  readonly #format: RowFormat;
  readonly #since: number;
  readonly #until: number;
  readonly #row = emptyRow();
  readonly #partial: [Partial | undefined, Partial | undefined] = [undefined, undefined];
  #skip: number;
  #next: LogPosition = { generation: 0, offset: 0, skip: 0 };
  /** Where the first piece of the lines in pieces is. */
  #held: { generation: number; offset: number; completed: number } | undefined;
  #isPast = false;
  #start = '';

  constructor(format: RowFormat, { sinceMs, untilMs, skip }: LogFilter) {
    this.#format = format;
    this.#since = sinceMs ?? Number.NEGATIVE_INFINITY;
    this.#until = untilMs ?? Number.POSITIVE_INFINITY;
    this.#skip = skip;
  }

  /** A line younger than what is wanted was seen. */
  get isPast(): boolean {
    return this.#isPast;
  }

  /** Cursor of the place before the lines that came last. */
  get start(): string {
    return this.#start;
  }

  get cursor(): string {
    const { generation, offset, skip } = this.#next;
    const held = this.#held;
    return held === undefined
      ? formatCursor({ generation, offset, skip })
      : formatCursor({ ...held, skip: held.completed + this.#skip });
  }

  /** What was to be skipped is no longer there. */
  expectAll(): void {
    this.#skip = 0;
  }

  /** Lines that these bytes complete. The bytes are overwritten. */
  scan({ bytes, generation, offset }: LogBytes): LogChunk {
    if (this.#held === undefined) this.#next = { generation, offset, skip: this.#skip };
    this.#start = this.cursor;
    // A line is shorter than its row, so that they can be moved together where they are.
    const waiting = this.#partialBytes();
    const columns = new Columns(waiting === 0 ? bytes : Buffer.allocUnsafe(bytes.length + waiting));
    let start = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
      if (parseRow(this.#format, this.#row, { bytes, from: start, to: end })) {
        this.#add(columns, { generation, offset: offset + start });
      }
      start = end + 1;
    }
    // Lines that are still to be skipped stay so for whoever goes on from here.
    this.#next = { generation, offset: offset + start, skip: this.#skip };
    return columns.chunk(this.cursor);
  }

  /** What was printed without a newline at its end. */
  flush(): LogChunk {
    this.#start = this.cursor;
    const columns = new Columns(Buffer.allocUnsafe(this.#partialBytes()));
    for (const index of [0, 1] as const) {
      const partial = this.#partial[index];
      this.#partial[index] = undefined;
      if (partial !== undefined) this.#complete(columns, index, partial);
    }
    this.#held = undefined;
    return columns.chunk(this.cursor);
  }

  #add(columns: Columns, position: { generation: number; offset: number }): void {
    const row = this.#row;
    const index = row.isError ? 1 : 0;
    const partial = this.#partial[index];
    if (partial === undefined && !row.isPartial) {
      if (this.#isWanted(row.timestamp)) {
        columns.add(row.source, row.from, row.to);
        columns.end(row.timestamp, row.isError);
      }
      return;
    }
    const whole = partial ?? { timestamp: row.timestamp, parts: [], length: 0 };
    // A copy: what is kept must not hold the whole chunk in memory.
    whole.parts.push(Buffer.from(row.source.subarray(row.from, row.to)));
    whole.length += row.to - row.from;
    this.#held ??= { ...position, completed: 0 };
    if (row.isPartial && whole.length < LOG_LINE_MAX_BYTES) {
      this.#partial[index] = whole;
      return;
    }
    this.#partial[index] = undefined;
    this.#complete(columns, index, whole);
    if (this.#partial[0] === undefined && this.#partial[1] === undefined) this.#held = undefined;
  }

  #complete(columns: Columns, index: 0 | 1, { timestamp, parts }: Partial): void {
    if (!this.#isWanted(timestamp)) return;
    for (const part of parts) columns.add(part, 0, part.length);
    columns.end(timestamp, index === 1);
  }

  #isWanted(timestamp: number): boolean {
    if (this.#held !== undefined) this.#held.completed += 1;
    if (this.#skip > 0) {
      this.#skip -= 1;
      return false;
    }
    if (timestamp > this.#until) this.#isPast = true;
    return timestamp >= this.#since && timestamp <= this.#until;
  }

  #partialBytes(): number {
    return (this.#partial[0]?.length ?? 0) + (this.#partial[1]?.length ?? 0);
  }
}

class Columns {
  readonly #data: Buffer;
  readonly #lengths: number[] = [];
  readonly #timestamps: number[] = [];
  /** Nothing while all is standard output, as it is nearly always. */
  #streams: LogStream[] = [];
  #at = 0;
  #lineAt = 0;

  constructor(data: Buffer) {
    this.#data = data;
  }

  add(source: Buffer, from: number, to: number): void {
    this.#at += source.copy(this.#data, this.#at, from, to);
  }

  end(timestamp: number, isError: boolean): void {
    this.#lengths.push(this.#at - this.#lineAt);
    this.#lineAt = this.#at;
    if (isError && this.#streams.length === 0) this.#streams = this.#timestamps.map(() => 'stdout');
    if (isError || this.#streams.length > 0) this.#streams.push(isError ? 'stderr' : 'stdout');
    this.#timestamps.push(timestamp);
  }

  chunk(cursor: string): LogChunk {
    return {
      data: this.#data.subarray(0, this.#at),
      lengths: this.#lengths,
      timestamps: this.#timestamps,
      streams: this.#streams,
      cursor,
      notice: '',
    };
  }
}

function formatCursor({ generation, offset, skip }: LogPosition): string {
  return `${generation}.${offset}.${skip}`;
}

/** Of the place so many lines behind that of a cursor. */
export function cursorBehind(cursor: string, lines: number): string {
  const position = parseCursor(cursor);
  return formatCursor({ ...position, skip: position.skip + lines });
}

/** @throws SwarmError `invalid-argument`. */
export function parseCursor(cursor: string): LogPosition {
  const match = /^(\d+)\.(\d+)\.(\d+)$/.exec(cursor);
  if (match === null) {
    throw new SwarmError('invalid-argument', `"${cursor}" is no cursor that this log gave out`);
  }
  const [generation = 0, offset = 0, skip = 0] = match.slice(1).map(Number);
  return { generation, offset, skip };
}
