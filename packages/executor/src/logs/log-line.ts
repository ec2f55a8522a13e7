/**
 * conmon's k8s-file format: "2026-11-21T13:21:19.123456789+00:00 stdout F text\n". P marks a piece of a
 * line, F its last one. Pure.
 */
import type { LogLine } from '../types.ts';
import { LOG_LINE_MAX_BYTES } from '../limits.ts';

interface Piece {
  readonly stream: 'stdout' | 'stderr';
  readonly timestamp: number;
  readonly isPartial: boolean;
  readonly data: Buffer;
}

const SPACE = 0x20;
const NEWLINE = 0x0a;
const P = 0x50;
const TIMESTAMP = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d+)?(?:Z|([+-])(\d\d):(\d\d))$/;

/** Pieces from bytes as they come; their data is a window into the chunk. */
export class PieceSplitter {
  #rest: Buffer = Buffer.alloc(0);

  *push(chunk: Buffer): Generator<Piece> {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let start = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
      const piece = parsePiece(bytes.subarray(start, end));
      start = end + 1;
      if (piece !== undefined) yield piece;
    }
    // What is kept must not hold the whole chunk in memory.
    this.#rest = Buffer.from(bytes.subarray(start));
  }
}

/** Lines from bytes as they come. */
export class LogAssembler {
  readonly #splitter = new PieceSplitter();
  readonly #partial = new Map<string, { timestamp: number; parts: Buffer[]; length: number }>();

  push(chunk: Buffer): LogLine[] {
    const lines: LogLine[] = [];
    for (const piece of this.#splitter.push(chunk)) {
      const line = this.#add(piece);
      if (line !== undefined) lines.push(line);
    }
    return lines;
  }

  /** What was printed without a newline at its end. */
  flush(): LogLine[] {
    const lines = [...this.#partial].map(([stream, { timestamp, parts }]) => ({
      stream: stream as LogLine['stream'],
      timestamp,
      data: Buffer.concat(parts),
    }));
    this.#partial.clear();
    return lines;
  }

  #add(piece: Piece): LogLine | undefined {
    const { stream } = piece;
    const before = this.#partial.get(stream);
    const length = (before?.length ?? 0) + piece.data.length;
    const timestamp = before?.timestamp ?? piece.timestamp;
    const parts = [...(before?.parts ?? []), Buffer.from(piece.data)];
    if (piece.isPartial && length < LOG_LINE_MAX_BYTES) {
      this.#partial.set(stream, { timestamp, parts, length });
      return undefined;
    }
    this.#partial.delete(stream);
    return { stream, timestamp, data: Buffer.concat(parts) };
  }
}

/** Undefined for a line that conmon did not write. */
function parsePiece(line: Buffer): Piece | undefined {
  const first = line.indexOf(SPACE);
  const second = line.indexOf(SPACE, first + 1);
  if (first < 0 || second < 0) return undefined;
  const timestamp = parseTimestamp(line.toString('latin1', 0, first));
  const stream = line.toString('latin1', first + 1, second);
  if (timestamp === undefined || (stream !== 'stdout' && stream !== 'stderr')) return undefined;
  return { stream, timestamp, isPartial: line[second + 1] === P, data: line.subarray(second + 3) };
}

/** RFC 3339 to milliseconds since the epoch, with the fraction that Date would drop. */
export function parseTimestamp(text: string): number | undefined {
  const match = TIMESTAMP.exec(text);
  if (match === null) return undefined;
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match
    .slice(1, 7)
    .map(Number);
  const offset =
    (Number(match[9] ?? 0) * 60 + Number(match[10] ?? 0)) * (match[8] === '-' ? -1 : 1);
  const minutes = (daysFromEpoch(year, month, day) * 24 + hour) * 60 + minute - offset;
  return (minutes * 60 + second) * 1_000 + Number(match[7] ?? 0) * 1_000;
}

/** Days from 1970-01-01 in the Gregorian calendar (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms"). */
function daysFromEpoch(year: number, month: number, day: number): number {
  const shifted = month <= 2 ? year - 1 : year;
  const era = Math.floor(shifted / 400);
  const yearOfEra = shifted - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra =
    yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}
