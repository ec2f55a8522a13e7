/**
 * Tar headers as bytes: POSIX ustar, pax records and the GNU fields that occur in image layers.
 * Pure. Formats: POSIX.1-2017 pax(1), GNU tar manual "Basic Tar Format".
 */
import { SwarmError } from '@swarmd/base';

export const BLOCK_BYTES = 512;

export type PaxRecords = Map<string, Buffer>;

/** Offsets and lengths of the fields that are read or written here. */
const FIELD = {
  name: [0, 100],
  mode: [100, 8],
  uid: [108, 8],
  gid: [116, 8],
  size: [124, 12],
  mtime: [136, 12],
  checksum: [148, 8],
  link: [157, 100],
  major: [329, 8],
  minor: [337, 8],
  prefix: [345, 155],
} as const satisfies Readonly<Record<string, readonly [number, number]>>;
type NumberField = 'mode' | 'uid' | 'gid' | 'size' | 'mtime' | 'checksum' | 'major' | 'minor';
const TYPE_OFFSET = 156;
const MAGIC_OFFSET = 257;
/** The largest value that fits an octal field of 8 and of 12 bytes. */
const OCTAL8_MAX = 0o7777777;
const OCTAL12_MAX = 0o77777777777;

/** What an entry says of its file, whatever the format it was written in. */
export interface TarEntry {
  readonly type: string;
  readonly name: string;
  readonly link: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes of data that follow. */
  readonly size: number;
  /** Seconds since the epoch as text, perhaps with a fraction. */
  readonly mtime: string;
  readonly major: number;
  readonly minor: number;
}

export function typeOf(header: Buffer): string {
  const byte = header[TYPE_OFFSET] ?? 0;
  return byte === 0 ? '0' : String.fromCharCode(byte);
}

/** Octal, or base 256 where the first bit is set (GNU). */
export function readNumber(header: Buffer, field: NumberField): number {
  const [offset, length] = FIELD[field];
  const first = header[offset] ?? 0;
  if ((first & 0x80) !== 0) {
    if (first !== 0x80) throw damaged(`its ${field} is negative or too large`);
    let value = 0;
    for (let index = 1; index < length; index += 1)
      value = value * 256 + (header[offset + index] ?? 0);
    if (!Number.isSafeInteger(value)) throw damaged(`its ${field} is too large`);
    return value;
  }
  const text = header
    .toString('latin1', offset, offset + length)
    .replace(/[\0 ]+$/, '')
    .trim();
  const end = text.search(/[\0 ]/);
  const digits = end < 0 ? text : text.slice(0, end);
  if (digits === '') return 0;
  if (!/^[0-7]+$/.test(digits)) throw damaged(`its ${field} is not a number`);
  return Number.parseInt(digits, 8);
}

export function readName(header: Buffer): string {
  const isUstar = header.toString('latin1', MAGIC_OFFSET, MAGIC_OFFSET + 6) === 'ustar\0';
  const prefix = isUstar ? readText(header, 'prefix') : '';
  const name = readText(header, 'name');
  return prefix === '' ? name : `${prefix}/${name}`;
}

export function readLink(header: Buffer): string {
  return readText(header, 'link');
}

/** @throws SwarmError `data-loss` when the header's checksum is wrong. */
export function verifyChecksum(header: Buffer): void {
  if (sum(header) !== readNumber(header, 'checksum'))
    throw damaged('a header has a wrong checksum');
}

/** @throws SwarmError `data-loss` when a record is malformed. */
export function parsePax(data: Buffer): PaxRecords {
  const records: PaxRecords = new Map();
  let position = 0;
  while (position < data.length) {
    const space = data.indexOf(0x20, position);
    const length = space < 0 ? Number.NaN : Number(data.toString('latin1', position, space));
    const end = position + length;
    const equals = data.indexOf(0x3d, space);
    const isWhole = Number.isInteger(length) && end <= data.length && end > space + 1;
    if (!isWhole || equals < 0 || equals >= end || data[end - 1] !== 0x0a) {
      throw damaged('an extended header is malformed');
    }
    records.set(data.toString('utf8', space + 1, equals), data.subarray(equals + 1, end - 1));
    position = end;
  }
  return records;
}

/** Zero bytes up to the next block boundary after `size` bytes. */
export function padding(size: number): number {
  return (BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES;
}

/**
 * The bytes of one entry's header(s): a ustar header, preceded by pax records for what does not fit
 * it and for `extra`. Data and padding are the caller's.
 */
export function encodeEntry(entry: TarEntry, extra: PaxRecords, sparse?: Buffer): Buffer {
  const records: PaxRecords = new Map(extra);
  const put = (key: string, value: string): void => void records.set(key, Buffer.from(value));
  if (sparse !== undefined || !fits(entry.name)) put('path', entry.name);
  if (!fits(entry.link)) put('linkpath', entry.link);
  if (entry.uid > OCTAL8_MAX) put('uid', String(entry.uid));
  if (entry.gid > OCTAL8_MAX) put('gid', String(entry.gid));
  if (entry.size > OCTAL12_MAX) put('size', String(entry.size));
  const seconds = Number(entry.mtime);
  if (!Number.isInteger(seconds) || seconds < 0 || seconds > OCTAL12_MAX) put('mtime', entry.mtime);
  const header = encodeHeader(entry, sparse);
  if (records.size === 0) return header;
  const data = encodePax(records);
  const pax = encodeHeader({ ...entry, type: 'x', name: 'pax', link: '', size: data.length });
  return Buffer.concat([pax, data, Buffer.alloc(padding(data.length)), header]);
}

export function damaged(why: string): SwarmError {
  return new SwarmError('data-loss', `the layer is not a well-formed tar archive: ${why}`);
}

function encodeHeader(entry: TarEntry, sparse?: Buffer): Buffer {
  const header = sparse === undefined ? Buffer.alloc(BLOCK_BYTES) : Buffer.from(sparse);
  const text = (field: 'name' | 'link', value: string): void => {
    const [offset, length] = FIELD[field];
    header.fill(0, offset, offset + length);
    header.write(fits(value) ? value : 'see-pax', offset, 'latin1');
  };
  const number = (field: NumberField, value: number): void => {
    const [offset, length] = FIELD[field];
    const octal = value.toString(8).padStart(length - 1, '0');
    header.write(octal.length < length ? octal : '0'.repeat(length - 1), offset, 'latin1');
    header[offset + length - 1] = 0;
  };
  text('name', entry.name);
  text('link', entry.link);
  number('mode', entry.mode);
  number('uid', entry.uid);
  number('gid', entry.gid);
  number('size', entry.size);
  number('mtime', Math.max(0, Math.floor(Number(entry.mtime))));
  header.write(entry.type, TYPE_OFFSET, 'latin1');
  if (sparse === undefined) {
    header.write('ustar\x0000', MAGIC_OFFSET, 'latin1');
    number('major', entry.major);
    number('minor', entry.minor);
  }
  const [offset] = FIELD.checksum;
  header.write(`${sum(header).toString(8).padStart(6, '0')}\0 `, offset, 'latin1');
  return header;
}

/** Each record is "LENGTH KEY=VALUE\n", where LENGTH counts itself. */
function encodePax(records: PaxRecords): Buffer {
  const parts: Buffer[] = [];
  for (const [key, value] of records) {
    const body = Buffer.concat([Buffer.from(` ${key}=`), value, Buffer.from('\n')]);
    let length = body.length + String(body.length).length;
    if (String(length).length + body.length !== length) length += 1;
    parts.push(Buffer.from(String(length)), body);
  }
  return Buffer.concat(parts);
}

function fits(text: string): boolean {
  // oxlint-disable-next-line no-control-regex -- only printable ASCII means the same to every tar
  return text.length <= 100 && /^[\x20-\x7e]*$/.test(text);
}

function readText(header: Buffer, field: 'name' | 'link' | 'prefix'): string {
  const [offset, length] = FIELD[field];
  const end = header.indexOf(0, offset);
  return header.toString('utf8', offset, end < 0 || end > offset + length ? offset + length : end);
}

/** The checksum field itself counts as eight spaces. */
function sum(header: Buffer): number {
  const [offset, length] = FIELD.checksum;
  let total = length * 0x20;
  for (let index = 0; index < BLOCK_BYTES; index += 1) {
    if (index < offset || index >= offset + length) total += header[index] ?? 0;
  }
  return total;
}
