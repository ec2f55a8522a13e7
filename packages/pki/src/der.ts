/**
 * The part of DER (X.690) that certificates of this package are made of, and just enough of a reader
 * to take a signing request apart. Everything else about certificates is left to node:crypto.
 */
import { SwarmError } from '@swarmd/base';

const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** Tag, length, contents. */
function element(tag: number, contents: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(contents);
  return Buffer.concat([Buffer.from([tag]), lengthOf(body.length), body]);
}

function lengthOf(length: number): Buffer {
  if (length < 0x80) return Buffer.from([length]);
  const bytes = bigEndian(length);
  return Buffer.concat([Buffer.from([0x80 | bytes.length]), bytes]);
}

function bigEndian(value: number): Buffer {
  const hex = value.toString(16);
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
}

export const sequence = (...items: Uint8Array[]): Buffer => element(TAG.sequence, items);
export const set = (...items: Uint8Array[]): Buffer => element(TAG.set, items);
export const octetString = (bytes: Uint8Array): Buffer => element(TAG.octetString, [bytes]);
export const utf8String = (text: string): Buffer => element(TAG.utf8String, [Buffer.from(text)]);
export const boolean = (value: boolean): Buffer =>
  element(TAG.boolean, [Buffer.from([value ? 0xff : 0])]);

/** `unused`: bits of the last byte that mean nothing. */
export const bitString = (bytes: Uint8Array, unused = 0): Buffer =>
  element(TAG.bitString, [Buffer.from([unused]), bytes]);

/** A non-negative number from its big-endian bytes. */
export function integer(bytes: Uint8Array): Buffer {
  const start = bytes.findIndex((byte) => byte !== 0);
  const digits = start === -1 ? Buffer.from([0]) : Buffer.from(bytes.subarray(start));
  const sign = (digits[0] ?? 0) >= 0x80 ? Buffer.from([0]) : Buffer.alloc(0);
  return element(TAG.integer, [sign, digits]);
}

/** "1.2.840..." */
export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  return element(TAG.oid, [
    Buffer.concat([first * 40 + second, ...rest].map((part) => base128(part))),
  ]);
}

function base128(value: number): Buffer {
  const digits = [value % 128];
  for (let left = Math.floor(value / 128); left > 0; left = Math.floor(left / 128)) {
    digits.unshift((left % 128) | 0x80);
  }
  return Buffer.from(digits);
}

/** RFC 5280 section 4.1.2.5: two digits of the year until 2049, four from then on. */
export function time(milliseconds: number): Buffer {
  // oxlint-disable-next-line no-restricted-globals -- formats a given time, reads no clock
  const iso = new Date(milliseconds).toISOString();
  const full = `${iso.slice(0, 19).replace(/[-:T]/g, '')}Z`;
  return Number(iso.slice(0, 4)) < 2050
    ? element(TAG.utcTime, [Buffer.from(full.slice(2))])
    : element(TAG.generalizedTime, [Buffer.from(full)]);
}

/** [number], of other elements or, if primitive, of bytes. */
export function context(
  number: number,
  content: Uint8Array,
  { primitive = false }: { readonly primitive?: boolean } = {},
): Buffer {
  return element((primitive ? 0x80 : 0xa0) | number, [content]);
}

export interface Element {
  readonly tag: number;
  /** Tag and length included: what signatures are made over. */
  readonly whole: Buffer;
  readonly body: Buffer;
}

/**
 * The elements that follow each other in `bytes`.
 * @throws SwarmError `invalid-argument` when that is not what they are.
 */
export function read(bytes: Buffer): Element[] {
  const elements: Element[] = [];
  for (let at = 0; at < bytes.length;) {
    const { start, length } = header(bytes, at);
    const end = start + length;
    if (end > bytes.length) throw malformed();
    elements.push({
      tag: bytes.readUInt8(at),
      whole: bytes.subarray(at, end),
      body: bytes.subarray(start, end),
    });
    at = end;
  }
  return elements;
}

const LENGTH_BYTES_MAX = 3;

function header(bytes: Buffer, at: number): { start: number; length: number } {
  const first = bytes[at + 1];
  if (first === undefined) throw malformed();
  if (first < 0x80) return { start: at + 2, length: first };
  const count = first & 0x7f;
  if (count === 0 || count > LENGTH_BYTES_MAX || at + 2 + count > bytes.length) throw malformed();
  return { start: at + 2 + count, length: bytes.readUIntBE(at + 2, count) };
}

function malformed(): SwarmError {
  return new SwarmError('invalid-argument', 'the signing request is no well-formed DER');
}

/** @throws SwarmError `invalid-argument` unless `element` is a sequence; its elements otherwise. */
export function readSequence(element: Element | undefined): Element[] {
  if (element?.tag !== TAG.sequence) throw malformed();
  return read(element.body);
}

/** The bytes of a bit string that ends with a whole byte. */
export function readBitString(element: Element | undefined): Buffer {
  if (element?.tag !== TAG.bitString || element.body[0] !== 0) throw malformed();
  return element.body.subarray(1);
}
