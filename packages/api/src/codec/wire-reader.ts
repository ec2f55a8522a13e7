/** Reads protobuf's wire format. What comes from outside may be anything: no read goes beyond the end. */
import { shortText } from './recent-texts.ts';

/** How a field's value is written: the low three bits of what stands before it. */
export const WIRE = { varint: 0, fixed64: 1, delimited: 2, fixed32: 5 } as const;

/** The bytes are not in the wire format. */
export class Malformed extends Error {}

/** A text of so many bytes at most may well have been read before. */
const SHORT_TEXT = 12;

export class WireReader {
  readonly #buffer: Buffer;
  #at = 0;
  /** Of the message or list that is being read. */
  #end: number;

  constructor(bytes: Uint8Array) {
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#end = bytes.byteLength;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#end;
  }

  /** Reads what has its length in front of it. */
  delimited<T>(read: (reader: this) => T): T {
    const outer = this.#end;
    this.#end = this.#take(this.varint());
    const value = read(this);
    this.#at = this.#end;
    this.#end = outer;
    return value;
  }

  /** The bytes of what has its length in front of it, one character each; they are still to be read. */
  ahead(): string {
    const at = this.#at;
    const length = this.varint();
    const begin = this.#at;
    const end = this.#take(length);
    this.#at = at;
    return this.#buffer.toString('latin1', begin, end);
  }

  /** A whole number below 2^53; larger ones are rounded. */
  varint(): number {
    const buffer = this.#buffer;
    let value = 0;
    for (let scale = 1; this.#at < this.#end; scale *= 128) {
      const byte = buffer[this.#at++] ?? 0;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
      if (scale > 2 ** 62) break;
    }
    throw new Malformed('a number does not end');
  }

  /** A whole number of either sign. */
  signed(): number {
    const from = this.#at;
    const value = this.varint();
    // A negative one has ten bytes; rounding spoils it.
    if (value < 2 ** 63) return value;
    let bits = 0n;
    for (let at = this.#at - 1; at >= from; at -= 1) {
      bits = (bits << 7n) | BigInt((this.#buffer[at] ?? 0) & 127);
    }
    return Number(BigInt.asIntN(64, bits));
  }

  double(): number {
    const at = this.#at;
    this.#at = this.#take(8);
    return this.#buffer.readDoubleLE(at);
  }

  text(): string {
    const length = this.varint();
    const begin = this.#at;
    this.#at = this.#take(length);
    if (length > SHORT_TEXT) return this.#buffer.toString('utf8', begin, this.#at);
    return shortText(this.#buffer, begin, this.#at);
  }

  /** A copy: a window into the whole message would keep that alive. */
  bytes(): Uint8Array {
    const length = this.varint();
    const begin = this.#at;
    this.#at = this.#take(length);
    const { buffer, byteOffset } = this.#buffer;
    return new Uint8Array(buffer.slice(byteOffset + begin, byteOffset + this.#at));
  }

  /** A field of a newer version. */
  skip(wire: number): void {
    switch (wire) {
      case WIRE.varint:
        this.varint();
        break;
      case WIRE.fixed64:
        this.#at = this.#take(8);
        break;
      case WIRE.delimited:
        this.#at = this.#take(this.varint());
        break;
      case WIRE.fixed32:
        this.#at = this.#take(4);
        break;
      default:
        throw new Malformed(`${wire} is no wire type`);
    }
  }

  /** @returns where the next `length` bytes end. */
  #take(length: number): number {
    const end = this.#at + length;
    if (end > this.#end) throw new Malformed('it ends too early');
    return end;
  }
}
