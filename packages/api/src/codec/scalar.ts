/** Single values between model and wire: numbers within their range, bytes, enums by name. */
import type protobuf from 'protobufjs';

import { WIRE, type WireReader } from './wire-reader.ts';
import type { WireWriter } from './wire-writer.ts';

/** A value that does not fit. Its place is put together on the way out, so that it costs nothing. */
export class Misfit extends Error {
  readonly #place: string[] = [];

  /** Called by each level that the error passes, innermost first: ".field" or "[3]". */
  inside(part: string): this {
    this.#place.unshift(part);
    return this;
  }

  get place(): string {
    return this.#place.join('');
  }
}

/** A value on the wire, without what names its field. */
export interface ValueCodec {
  /** Wire type. */
  readonly wire: number;
  /** @throws Misfit */
  readonly write: (value: unknown, writer: WireWriter) => void;
  /** @throws Misfit, Malformed */
  readonly read: (reader: WireReader) => unknown;
  /** What an absent value means. */
  readonly zero: unknown;
}

const UINT32_MAX = 2 ** 32 - 1;

export function scalarCodec(type: string): ValueCodec {
  switch (type) {
    case 'string':
      return TEXT;
    case 'bool':
      return BOOL;
    case 'double':
      return DOUBLE;
    case 'uint32':
      return integer(0, UINT32_MAX);
    case 'int32':
      return integer(-(2 ** 31), 2 ** 31 - 1);
    case 'uint64':
      return integer(0, Number.MAX_SAFE_INTEGER);
    case 'int64':
      return integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
    case 'bytes':
      return BYTES;
    default:
      throw new TypeError(`the codec does not know the type ${type}`);
  }
}

/** Enums by kebab-case name without the enum's prefix; 0 is '' when it means "unspecified". */
export function enumCodec(type: protobuf.Enum): ValueCodec {
  const prefix = `${type.name.replace(/([a-z])([A-Z])/g, '$1_$2').toUpperCase()}_`;
  const names = new Map<number, string>();
  const numbers = new Map<unknown, number>();
  for (const [key, number] of Object.entries(type.values)) {
    const short = (key.startsWith(prefix) ? key.slice(prefix.length) : key)
      .toLowerCase()
      .replaceAll('_', '-');
    const name = short === 'unspecified' ? '' : short;
    names.set(number, name);
    numbers.set(name, number);
  }
  const known = [...numbers.keys()].filter((name) => name !== '').join(', ');
  return {
    wire: WIRE.varint,
    write: (value, writer) => {
      const number = numbers.get(value);
      if (number === undefined) throw misfit(value, `one of ${known}`);
      writer.varint(number);
    },
    read: (reader) => {
      const number = reader.varint();
      const name = names.get(number);
      if (name === undefined) throw misfit(number, `one of ${known}`);
      return name;
    },
    zero: names.get(0),
  };
}

const TEXT: ValueCodec = {
  wire: WIRE.delimited,
  write: (value, writer) => {
    if (typeof value !== 'string') throw misfit(value, 'a text');
    writer.text(value);
  },
  read: (reader) => reader.text(),
  zero: '',
};

const BOOL: ValueCodec = {
  wire: WIRE.varint,
  write: (value, writer) => {
    if (typeof value !== 'boolean') throw misfit(value, 'true or false');
    writer.varint(value ? 1 : 0);
  },
  read: (reader) => reader.varint() !== 0,
  zero: false,
};

const DOUBLE: ValueCodec = {
  wire: WIRE.fixed64,
  write: (value, writer) => {
    if (typeof value !== 'number') throw misfit(value, 'a number');
    writer.double(value);
  },
  read: (reader) => reader.double(),
  zero: 0,
};

const BYTES: ValueCodec = {
  wire: WIRE.delimited,
  write: (value, writer) => {
    if (!(value instanceof Uint8Array)) throw misfit(value, 'bytes');
    writer.bytes(value);
  },
  read: (reader) => reader.bytes(),
  zero: new Uint8Array(),
};

/** Both ways: what another program writes may be beyond what a number here tells exactly. */
function integer(min: number, max: number): ValueCodec {
  const within = (value: unknown): number => {
    if (Number.isInteger(value) && (value as number) >= min && (value as number) <= max) {
      return value as number;
    }
    throw misfit(value, `a whole number from ${min} to ${max}`);
  };
  return {
    wire: WIRE.varint,
    write: (value, writer) => writer.signed(within(value)),
    read: (reader) => within(min < 0 ? reader.signed() : reader.varint()),
    zero: 0,
  };
}

function misfit(value: unknown, expected: string): Misfit {
  const text = typeof value === 'object' ? typeof value : JSON.stringify(value);
  return new Misfit(`${text} is not ${expected}`);
}
