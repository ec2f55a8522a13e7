/** One message of rtnetlink(7) as bytes, in the byte order of x64 and arm64. */

/** Longer than any message that is written here. */
const MESSAGE_BYTES = 512;
/** NLM_F_REQUEST | NLM_F_ACK */
const REQUEST = 0x5;
const ALIGNMENT = 4;

export interface LinkMessage {
  readonly bytes: Buffer;
  /** "OFFSET=i:LINK,OFFSET=n:NAMESPACE", or "-": see worker-program.ts. */
  readonly fills: string;
}

/** One message is written at a time: thousands of them must not each clear memory of their own. */
const scratch = Buffer.alloc(MESSAGE_BYTES);

export class MessageWriter {
  readonly #bytes = scratch;
  readonly #fills: string[] = [];
  #at = 16;

  /** @param type RTM_*. `flags`: NLM_F_* beside those of every request. */
  constructor(type: number, flags: number) {
    this.#bytes.fill(0);
    this.#bytes.writeUInt16LE(type, 4);
    this.#bytes.writeUInt16LE(REQUEST | flags, 6);
  }

  bytes(...values: readonly number[]): this {
    for (const value of values) this.#bytes[this.#at++] = value;
    return this;
  }

  u16(value: number): this {
    this.#at = this.#bytes.writeUInt16LE(value, this.#at);
    return this;
  }

  u32(value: number): this {
    this.#at = this.#bytes.writeUInt32LE(value, this.#at);
    return this;
  }

  /** Four bytes that the worker puts in: the index of a link, or a descriptor of a namespace. */
  fill(kind: 'link' | 'netns', name: string): this {
    this.#fills.push(`${this.#at}=${kind === 'link' ? 'i' : 'n'}:${name}`);
    return this.u32(0);
  }

  /** @param write the content, attributes among it. */
  attribute(type: number, write: () => void): this {
    const start = this.#at;
    this.u16(0).u16(type);
    write();
    this.#bytes.writeUInt16LE(this.#at - start, start);
    this.#at = Math.ceil(this.#at / ALIGNMENT) * ALIGNMENT;
    return this;
  }

  text(type: number, value: string): this {
    return this.attribute(type, () => this.bytes(...Buffer.from(`${value}\0`)));
  }

  number(type: number, value: number): this {
    return this.attribute(type, () => this.u32(value));
  }

  done(): LinkMessage {
    this.#bytes.writeUInt32LE(this.#at, 0);
    const fills = this.#fills.length === 0 ? '-' : this.#fills.join(',');
    return { bytes: Buffer.from(this.#bytes.subarray(0, this.#at)), fills };
  }
}
