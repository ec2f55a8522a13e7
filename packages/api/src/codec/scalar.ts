/** Single values between model and wire: numbers within their range, bytes, enums by name. */
import type protobuf from 'protobufjs';

/** One direction of one value. @throws Misfit */
export type Convert = (value: unknown) => unknown;

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

export interface ValueCodec {
  readonly toWire: Convert;
  readonly fromWire: Convert;
  /** What an absent value means. */
  readonly zero: unknown;
}

const UINT32_MAX = 2 ** 32 - 1;

export function scalarCodec(type: string): ValueCodec {
  switch (type) {
    case 'string':
      return { toWire: expect('string', 'a text'), fromWire: same, zero: '' };
    case 'bool':
      return { toWire: expect('boolean', 'true or false'), fromWire: same, zero: false };
    case 'double':
      return { toWire: expect('number', 'a number'), fromWire: same, zero: 0 };
    case 'uint32':
      return { toWire: integer(0, UINT32_MAX), fromWire: same, zero: 0 };
    case 'int32':
      return { toWire: integer(-(2 ** 31), 2 ** 31 - 1), fromWire: same, zero: 0 };
    case 'uint64':
      return { toWire: integer(0, Number.MAX_SAFE_INTEGER), fromWire: fromLong, zero: 0 };
    case 'int64':
      return {
        toWire: integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
        fromWire: fromLong,
        zero: 0,
      };
    case 'bytes':
      return { toWire: bytes, fromWire: copy, zero: new Uint8Array() };
    default:
      throw new TypeError(`the codec does not know the type ${type}`);
  }
}

/** Enums by kebab-case name without the enum's prefix; 0 is '' when it means "unspecified". */
export function enumCodec(type: protobuf.Enum): ValueCodec {
  const prefix = `${type.name.replace(/([a-z])([A-Z])/g, '$1_$2').toUpperCase()}_`;
  const names = new Map<unknown, string>();
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
  const lookUp =
    (map: ReadonlyMap<unknown, unknown>): Convert =>
    (value) => {
      const found = map.get(value);
      if (found === undefined) throw misfit(value, `one of ${known}`);
      return found;
    };
  return { toWire: lookUp(numbers), fromWire: lookUp(names), zero: names.get(0) };
}

const same: Convert = (value) => value;

function expect(kind: string, what: string): Convert {
  return (value) => {
    if (typeof value !== kind) throw misfit(value, what);
    return value;
  };
}

function integer(min: number, max: number): Convert {
  return (value) => {
    if (!Number.isInteger(value) || (value as number) < min || (value as number) > max) {
      throw misfit(value, `a whole number from ${min} to ${max}`);
    }
    return value;
  };
}

/** protobufjs gives 64-bit values as Long objects; ours are asserted to fit a double. */
const fromLong: Convert = (value) => {
  const number = typeof value === 'number' ? value : (value as { toNumber(): number }).toNumber();
  if (!Number.isSafeInteger(number)) {
    throw misfit(number, `a whole number up to ${Number.MAX_SAFE_INTEGER}`);
  }
  return number;
};

const bytes: Convert = (value) => {
  if (!(value instanceof Uint8Array)) throw misfit(value, 'bytes');
  return value;
};

/** A copy, because decoded bytes are a window into the whole message, which must not be kept alive. */
const copy: Convert = (value) => new Uint8Array(value as Uint8Array);

function misfit(value: unknown, expected: string): Misfit {
  const text = typeof value === 'object' ? typeof value : JSON.stringify(value);
  return new Misfit(`${text} is not ${expected}`);
}
