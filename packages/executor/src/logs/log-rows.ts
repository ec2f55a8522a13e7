/**
 * The rows of log files. Pure.
 *
 * conmon's k8s-file: "2026-11-21T13:21:19.123456789+00:00 stdout F text\n". P marks a piece of a line,
 * F its last one.
 *
 * json-file: {"log":"text\n","stream":"stdout","attrs":{...},"time":"2026-11-21T13:21:19.123456789Z"}\n,
 * as Docker's driver writes it. A piece of a line has no newline at the end of its text.
 */

/** One row; filled again for each, because there are a million a second of them. */
export interface Row {
  timestamp: number;
  isError: boolean;
  isPartial: boolean;
  /** Its text, without newline: `source` from `from` to `to`. */
  source: Buffer;
  from: number;
  to: number;
}

export interface RowFormat {
  /**
   * `row` has the whole row as its source, and becomes what that says.
   * @returns false for what the format's writer did not write.
   */
  parse(row: Row): boolean;
}

const SPACE = 0x20;
const P = 0x50;
const E = 0x65;
const ZERO = 0x30;
const TIMESTAMP = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d+)?(?:Z|([+-])(\d\d):(\d\d))$/;

export function emptyRow(): Row {
  return {
    timestamp: 0,
    isError: false,
    isPartial: false,
    source: Buffer.alloc(0),
    from: 0,
    to: 0,
  };
}

/** Whether the row from `from` to `to` is one; `row` then has what it says. */
export function parseRow(
  format: RowFormat,
  row: Row,
  { bytes, from, to }: { readonly bytes: Buffer; readonly from: number; readonly to: number },
): boolean {
  row.source = bytes;
  row.from = from;
  row.to = to;
  return format.parse(row);
}

/** "YYYY-MM-DDTHH:MM:" and "+HH:MM", which hardly ever change from one row to the next. */
const MINUTE_BYTES = 17;
const NANOS_AT = 20;
const ZONE_AT = 29;
const TIMESTAMP_BYTES = 35;

export class ConmonRows implements RowFormat {
  readonly #known = Buffer.alloc(TIMESTAMP_BYTES);
  #minute = 0;

  parse(row: Row): boolean {
    const { source: bytes, from: start, to: end } = row;
    const first = start + TIMESTAMP_BYTES;
    // "stdout" and "stderr" are of the same length.
    const second = first + 7;
    if (second + 3 > end || bytes[first] !== SPACE || bytes[second] !== SPACE) return false;
    const timestamp = this.#timestamp(bytes, start);
    if (Number.isNaN(timestamp)) return false;
    row.timestamp = timestamp;
    row.isError = bytes[first + 4] === E;
    row.isPartial = bytes[second + 1] === P;
    row.from = second + 3;
    return true;
  }

  #timestamp(bytes: Buffer, start: number): number {
    const known = this.#known;
    for (let index = 0; index < TIMESTAMP_BYTES; index += 1) {
      if (index === MINUTE_BYTES) index = ZONE_AT;
      if (bytes[start + index] !== known[index]) {
        const text = bytes.toString('latin1', start, start + TIMESTAMP_BYTES);
        const zero = `${text.slice(0, MINUTE_BYTES)}00${text.slice(ZONE_AT)}`;
        const minute = parseTimestamp(zero);
        if (minute === undefined || parseTimestamp(text) === undefined) return Number.NaN;
        this.#minute = minute;
        bytes.copy(known, 0, start, start + TIMESTAMP_BYTES);
        break;
      }
    }
    const at = start + MINUTE_BYTES;
    const seconds = ((bytes[at] ?? 0) - ZERO) * 10 + (bytes[at + 1] ?? 0) - ZERO;
    let nanos = 0;
    for (let index = start + NANOS_AT; index < start + ZONE_AT; index += 1) {
      nanos = nanos * 10 + (bytes[index] ?? 0) - ZERO;
    }
    return this.#minute + seconds * 1_000 + nanos / 1_000_000;
  }
}

export class JsonRows implements RowFormat {
  parse(row: Row): boolean {
    const entry = parsedEntry(row.source.toString('utf8', row.from, row.to));
    const timestamp = entry === undefined ? undefined : parseTimestamp(entry.time);
    if (entry === undefined || timestamp === undefined) return false;
    row.timestamp = timestamp;
    row.isError = entry.stream === 'stderr';
    row.isPartial = !entry.log.endsWith('\n');
    row.source = Buffer.from(entry.log);
    row.from = 0;
    row.to = row.source.length - (row.isPartial ? 0 : 1);
    return true;
  }
}

function parsedEntry(text: string): { log: string; stream: string; time: string } | undefined {
  try {
    const entry = JSON.parse(text) as Partial<{ log: string; stream: string; time: string }>;
    const { log, stream, time } = entry ?? {};
    if (typeof log !== 'string' || typeof stream !== 'string' || typeof time !== 'string') {
      return undefined;
    }
    return { log, stream, time };
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
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
