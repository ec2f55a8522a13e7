/** DNS over TCP: every message has its length in front of it (RFC 1035, 4.2.2). */

export function frame(message: Uint8Array): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.byteLength);
  return Buffer.concat([length, message]);
}

/** Cuts a stream into messages. Holds at most one of them (64 KiB) and what one read brings. */
export class Unframer {
  readonly #onMessage: (message: Buffer) => void;
  #rest: Buffer = Buffer.alloc(0);

  constructor(onMessage: (message: Buffer) => void) {
    this.#onMessage = onMessage;
  }

  push(data: Uint8Array): void {
    let rest: Buffer = Buffer.concat([this.#rest, data]);
    while (rest.byteLength >= 2) {
      const end = 2 + rest.readUInt16BE(0);
      if (rest.byteLength < end) break;
      const message = rest.subarray(2, end);
      rest = rest.subarray(end);
      this.#onMessage(message);
    }
    this.#rest = rest;
  }
}
