/**
 * Messages of many agents over one socket: a frame is the length of the message (4 bytes), the number
 * of the agent (4 bytes), and the message. What is written within one turn leaves together.
 */
import type { Socket } from 'node:net';

const HEAD_BYTES = 8;
const TURN_CHUNKS = 4;

export class FrameWriter {
  readonly #socket: Socket;
  #parts: Uint8Array[] = [];

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  write(agent: number, message: Uint8Array): void {
    const head = Buffer.allocUnsafe(HEAD_BYTES);
    head.writeUInt32LE(message.byteLength, 0);
    head.writeUInt32LE(agent, 4);
    if (this.#parts.length === 0) setImmediate(() => this.#flush());
    this.#parts.push(head, message);
  }

  #flush(): void {
    const parts = this.#parts;
    this.#parts = [];
    if (!this.#socket.destroyed) this.#socket.write(Buffer.concat(parts));
  }
}

/**
 * Calls `onFrame` for every frame of the socket, in order. A turn of the event loop reads some chunks of
 * 64 KiB: libuv would read up to 32 of one socket, while of the thousands that this one stands for each
 * has little to read.
 */
export function readFrames(
  socket: Socket,
  onFrame: (agent: number, message: Uint8Array) => void,
): void {
  let rest: Buffer = Buffer.alloc(0);
  /** Chunks in this turn. */
  let read = 0;
  const nextTurn = (): void => {
    read = 0;
    socket.resume();
  };
  socket.on('data', (chunk: Buffer) => {
    let data = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    while (data.length >= HEAD_BYTES) {
      const end = HEAD_BYTES + data.readUInt32LE(0);
      if (data.length < end) break;
      onFrame(data.readUInt32LE(4), data.subarray(HEAD_BYTES, end));
      data = data.subarray(end);
    }
    rest = data;
    read += 1;
    if (read === 1) setImmediate(nextTurn);
    if (read === TURN_CHUNKS) socket.pause();
  });
}
