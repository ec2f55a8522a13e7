/**
 * Writes protobuf's wire format into one buffer that grows, in one pass over the value: thousands of
 * objects a second are written, so nothing is made on the way.
 */
const FIRST_BYTES = 16 * 1024;
/** A buffer that became larger is not kept for the next message. */
const KEPT_BYTES_MAX = 4 * 1024 * 1024;
/** So long a text has its length in one byte, whatever its characters are. */
const SHORT_TEXT = 42;
const VARINT_BYTES_MAX = 10;

const idle: WireWriter[] = [];

/** What `write` writes, as bytes of their own. May be used while another message is being written. */
export function written(write: (writer: WireWriter) => void): Uint8Array {
  const writer = idle.pop() ?? new WireWriter();
  try {
    write(writer);
    return writer.copy();
  } finally {
    writer.clear();
    idle.push(writer);
  }
}

export class WireWriter {
  #buffer = Buffer.allocUnsafeSlow(FIRST_BYTES);
  #at = 0;

  copy(): Uint8Array {
    return new Uint8Array(this.#buffer.buffer.slice(0, this.#at));
  }

  clear(): void {
    this.#at = 0;
    if (this.#buffer.length > KEPT_BYTES_MAX) this.#buffer = Buffer.allocUnsafeSlow(FIRST_BYTES);
  }

  /** A whole number from 0 to 2^53 - 1. */
  varint(value: number): void {
    this.#reserve(VARINT_BYTES_MAX);
    this.#varint(value);
  }

  /** A whole number of either sign: of a negative one the two's complement in 64 bits, in ten bytes. */
  signed(value: number): void {
    if (value >= 0) {
      this.varint(value);
      return;
    }
    this.#reserve(VARINT_BYTES_MAX);
    let left = BigInt.asUintN(64, BigInt(value));
    for (; left > 127n; left >>= 7n) this.#buffer[this.#at++] = Number(left & 127n) | 128;
    this.#buffer[this.#at++] = Number(left);
  }

  double(value: number): void {
    this.#reserve(8);
    this.#at = this.#buffer.writeDoubleLE(value, this.#at);
  }

  /** Length and UTF-8. */
  text(value: string): void {
    this.#reserve(VARINT_BYTES_MAX + 3 * value.length);
    if (value.length <= SHORT_TEXT) this.#shortText(value);
    else {
      this.#varint(Buffer.byteLength(value));
      this.#at += this.#buffer.write(value, this.#at);
    }
  }

  /** Length and bytes. */
  bytes(value: Uint8Array): void {
    this.#reserve(VARINT_BYTES_MAX + value.byteLength);
    this.#varint(value.byteLength);
    this.raw(value);
  }

  /** Bytes that are in the wire format already. */
  raw(value: Uint8Array): void {
    this.#reserve(value.byteLength);
    this.#buffer.set(value, this.#at);
    this.#at += value.byteLength;
  }

  /** Begins what has its length in front of it. @returns what `end` needs. */
  begin(): number {
    this.#reserve(1);
    return this.#at++;
  }

  /** One byte was kept for the length; what is longer than that can tell moves on. */
  end(begin: number): void {
    const length = this.#at - begin - 1;
    if (length < 128) {
      this.#buffer[begin] = length;
      return;
    }
    const more = bytesOf(length) - 1;
    this.#reserve(more);
    this.#buffer.copyWithin(begin + 1 + more, begin + 1, this.#at);
    this.#at = begin;
    this.#varint(length);
    this.#at += length;
  }

  #varint(value: number): void {
    const buffer = this.#buffer;
    let left = value;
    // Beyond 32 bits there are no bit operations.
    for (; left > 0x7fffffff; left = Math.floor(left / 128))
      buffer[this.#at++] = (left % 128) | 128;
    for (; left > 127; left >>>= 7) buffer[this.#at++] = (left & 127) | 128;
    buffer[this.#at++] = left;
  }

  /** Most texts are short and ASCII: faster here than by a call out of the language. */
  #shortText(value: string): void {
    const buffer = this.#buffer;
    const from = this.#at + 1;
    for (let index = 0; index < value.length; index += 1) {
      const code = value.charCodeAt(index);
      if (code > 127) {
        const length = buffer.write(value, from);
        buffer[this.#at] = length;
        this.#at = from + length;
        return;
      }
      buffer[from + index] = code;
    }
    buffer[this.#at] = value.length;
    this.#at = from + value.length;
  }

  #reserve(bytes: number): void {
    const needed = this.#at + bytes;
    if (needed <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#buffer.length));
    this.#buffer.copy(larger, 0, 0, this.#at);
    this.#buffer = larger;
  }
}

/** Bytes of a length as varint. */
function bytesOf(length: number): number {
  let bytes = 1;
  for (let left = length; left > 127; left = Math.floor(left / 128)) bytes += 1;
  return bytes;
}
