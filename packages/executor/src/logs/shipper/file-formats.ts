/**
 * Lines as rows of log files, byte by byte into one buffer: there are a million of them a second, and what is made
 * for each is what the thread's time and memory go into. Pure.
 */
import { microTimeText } from '@swarmd/base';

import type { LogPacking } from '../log-files.ts';
import type { ShipLine } from './protocol.ts';

export interface FileFormat {
  /** Appends a line's row. */
  readonly write: (rows: RowBuffer, line: ShipLine) => void;
  readonly packing: LogPacking;
}

/** Some thousand rows: what is read of a log at once. */
const ROWS_BYTES = 512 * 1024;
/** A byte becomes at most so many in JSON: "\\u0001". */
const JSON_BYTES_MAX = 6;

export class RowBuffer {
  #buffer = Buffer.allocUnsafe(ROWS_BYTES);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Until the next `clear`. */
  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  clear(): void {
    this.#length = 0;
  }

  add(bytes: Buffer): void {
    this.#makeRoom(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  addText(text: string): void {
    this.#makeRoom(text.length * JSON_BYTES_MAX);
    this.#length += this.#buffer.write(text, this.#length, 'utf8');
  }

  #makeRoom(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(2 * (this.#length + bytes));
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
  }
}

/** What lines have besides their text: the same for all that the monitor read together. */
class Frame {
  readonly #make: (stream: string, time: string) => string;
  #timestamp = Number.NaN;
  #isError = false;
  #bytes = Buffer.alloc(0);

  constructor(make: (stream: string, time: string) => string) {
    this.#make = make;
  }

  of({ timestamp, isError }: ShipLine): Buffer {
    if (timestamp !== this.#timestamp || isError !== this.#isError) {
      this.#timestamp = timestamp;
      this.#isError = isError;
      const text = this.#make(isError ? 'stderr' : 'stdout', microTimeText(timestamp));
      this.#bytes = Buffer.from(text);
    }
    return this.#bytes;
  }
}

/** As Docker's driver of that name writes it. */
export function jsonFileFormat(attributes: Readonly<Record<string, string>>): FileFormat {
  const hasAttributes = Object.keys(attributes).length > 0;
  const more = hasAttributes ? `"attrs":${JSON.stringify(attributes)},` : '';
  const start = Buffer.from('{"log":"');
  const end = new Frame((stream, time) => `\\n","stream":"${stream}",${more}"time":"${time}"}\n`);
  const write = (rows: RowBuffer, line: ShipLine): void => {
    rows.add(start);
    if (isPlain(line.text)) rows.add(line.text);
    else rows.addText(JSON.stringify(line.text.toString('utf8')).slice(1, -1));
    rows.add(end.of(line));
  };
  return { write, packing: 'gz' };
}

const [SPACE, QUOTE, BACKSLASH, DELETE] = [0x20, 0x22, 0x5c, 0x7f];

/** Means itself in JSON. */
function isPlain(text: Buffer): boolean {
  for (let index = 0; index < text.length; index += 1) {
    const byte = text[index] ?? 0;
    if (byte < SPACE || byte >= DELETE || byte === QUOTE || byte === BACKSLASH) return false;
  }
  return true;
}

/** The rows of conmon, read by what reads those; see `log-rows.ts`. */
export function localFormat(): FileFormat {
  const start = new Frame((stream, time) => `${time.replace('Z', '000+00:00')} ${stream} F `);
  const end = Buffer.from('\n');
  const write = (rows: RowBuffer, line: ShipLine): void => {
    rows.add(start.of(line));
    rows.add(line.text);
    rows.add(end);
  };
  return { write, packing: 'zst' };
}
