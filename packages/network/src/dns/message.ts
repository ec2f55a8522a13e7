/**
 * The part of the DNS wire format (RFC 1035, 4.1; EDNS: RFC 6891) that a resolver for A, AAAA and PTR
 * records needs: reading a query with one question, writing an answer to it.
 */
import { groupsOf } from '../desired/ipv6.ts';

export const DNS_TYPE = { a: 1, ptr: 12, aaaa: 28, opt: 41 } as const;
export const DNS_CODE = {
  noError: 0,
  formatError: 1,
  serverFailure: 2,
  noSuchName: 3,
  notImplemented: 4,
  refused: 5,
} as const;

const HEADER_BYTES = 12;
const CLASS_IN = 1;
const LABEL_BYTES_MAX = 63;
const FLAG = { response: 0x8000, authoritative: 0x0400, truncated: 0x0200, recursion: 0x0180 };

export interface Question {
  /** Lower case, without the final dot. */
  readonly name: string;
  readonly type: number;
}

export interface Query {
  readonly bytes: Uint8Array;
  /** Where the question ends in `bytes`. */
  readonly questionEnd: number;
  readonly question: Question;
  /** Bytes the asker takes over UDP; undefined without EDNS. */
  readonly udpBytes: number | undefined;
}

export type Reading =
  | { readonly kind: 'query'; readonly query: Query }
  /** Not for us to answer: no header, or an answer. */
  | { readonly kind: 'noise' }
  | { readonly kind: 'error'; readonly code: number };

export function readQuery(bytes: Uint8Array): Reading {
  if (bytes.byteLength < HEADER_BYTES) return { kind: 'noise' };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const flags = view.getUint16(2);
  if ((flags & FLAG.response) !== 0) return { kind: 'noise' };
  if ((flags & 0x7800) !== 0) return { kind: 'error', code: DNS_CODE.notImplemented };
  if (view.getUint16(4) !== 1) return { kind: 'error', code: DNS_CODE.formatError };
  const read = readName(bytes, HEADER_BYTES);
  if (read === undefined || read.end + 4 > bytes.byteLength) {
    return { kind: 'error', code: DNS_CODE.formatError };
  }
  if (view.getUint16(read.end + 2) !== CLASS_IN) {
    return { kind: 'error', code: DNS_CODE.refused };
  }
  const questionEnd = read.end + 4;
  const question = { name: read.name, type: view.getUint16(read.end) };
  const udpBytes = readUdpBytes(view, questionEnd);
  return { kind: 'query', query: { bytes, questionEnd, question, udpBytes } };
}

/** The name at an offset; undefined when it runs out of the message, or is compressed. */
function readName(bytes: Uint8Array, start: number): { name: string; end: number } | undefined {
  const labels: string[] = [];
  let at = start;
  for (;;) {
    const length = bytes[at];
    if (length === undefined || length > LABEL_BYTES_MAX) return undefined;
    at += 1;
    if (length === 0) break;
    if (at + length > bytes.byteLength) return undefined;
    labels.push(String.fromCharCode(...bytes.subarray(at, at + length)));
    at += length;
  }
  return { name: labels.join('.').toLowerCase(), end: at };
}

/** An OPT record with an empty name directly behind the question: what stub resolvers send. */
function readUdpBytes(view: DataView, at: number): number | undefined {
  const hasAdditional =
    view.getUint16(10) > 0 && view.getUint16(6) === 0 && view.getUint16(8) === 0;
  if (!hasAdditional || at + 5 > view.byteLength || view.getUint8(at) !== 0) return undefined;
  return view.getUint16(at + 1) === DNS_TYPE.opt ? view.getUint16(at + 3) : undefined;
}

export type DnsRecord =
  | { readonly type: 'a' | 'aaaa'; readonly address: string }
  | { readonly type: 'ptr'; readonly name: string };

export interface Answer {
  readonly code: number;
  readonly records: readonly DnsRecord[];
}

/** @param limits `bytes`: what the asker takes; what is longer is cut off and marked truncated. */
export function writeAnswer(
  query: Query,
  answer: Answer,
  limits: { bytes: number; ttlSeconds: number },
): Buffer {
  const opt = query.udpBytes === undefined ? 0 : 11;
  const parts: Buffer[] = [];
  let size = query.questionEnd + opt;
  for (const record of answer.records) {
    const part = writeRecord(record, limits.ttlSeconds);
    if (size + part.byteLength > limits.bytes) break;
    parts.push(part);
    size += part.byteLength;
  }
  const truncated = parts.length < answer.records.length;
  const head = Buffer.from(query.bytes.subarray(0, query.questionEnd));
  const asked = head.readUInt16BE(2);
  const flags =
    FLAG.response | FLAG.authoritative | FLAG.recursion | (truncated ? FLAG.truncated : 0);
  // The asker's own "recursion desired" bit is copied, ours says that recursion is available.
  head.writeUInt16BE((flags & ~0x0100) | (asked & 0x0100) | answer.code, 2);
  head.writeUInt16BE(parts.length, 6);
  head.writeUInt16BE(0, 8);
  head.writeUInt16BE(opt === 0 ? 0 : 1, 10);
  return Buffer.concat([head, ...parts, ...(opt === 0 ? [] : [optRecord(limits.bytes)])], size);
}

/** An answer that is only a code, to something that may be no proper query. */
export function writeError(bytes: Uint8Array, code: number): Buffer {
  const head = Buffer.alloc(HEADER_BYTES);
  head.set(bytes.subarray(0, 4));
  const asked = head.readUInt16BE(2);
  head.writeUInt16BE(FLAG.response | (asked & 0x7900) | 0x0080 | code, 2);
  return head;
}

function writeRecord(record: DnsRecord, ttlSeconds: number): Buffer {
  const data = record.type === 'ptr' ? encodeName(record.name) : encodeAddress(record.address);
  const head = Buffer.alloc(12);
  // A pointer to the question's name.
  head.writeUInt16BE(0xc000 | HEADER_BYTES, 0);
  head.writeUInt16BE(DNS_TYPE[record.type], 2);
  head.writeUInt16BE(CLASS_IN, 4);
  head.writeUInt32BE(ttlSeconds, 6);
  head.writeUInt16BE(data.byteLength, 10);
  return Buffer.concat([head, data]);
}

function encodeAddress(address: string): Buffer {
  if (!address.includes(':')) return Buffer.from(address.split('.').map(Number));
  const data = Buffer.alloc(16);
  for (const [at, group] of groupsOf(address).entries()) data.writeUInt16BE(group, at * 2);
  return data;
}

function encodeName(name: string): Buffer {
  const labels = name.split('.').map((label) => {
    const text = Buffer.from(label, 'latin1').subarray(0, LABEL_BYTES_MAX);
    return Buffer.concat([Buffer.from([text.byteLength]), text]);
  });
  return Buffer.concat([...labels, Buffer.from([0])]);
}

function optRecord(udpBytes: number): Buffer {
  const record = Buffer.alloc(11);
  record.writeUInt16BE(DNS_TYPE.opt, 1);
  record.writeUInt16BE(udpBytes, 3);
  return record;
}
