/**
 * The least that speaks gRPC: one connection with one unary call at a time, written as ready-made HTTP/2
 * frames (RFC 9113). Clients share their processors with the servers that they measure; with grpc-js, or
 * Node's own HTTP/2, they would need more of them than the servers do, and all sides would look alike.
 */
import { once } from 'node:events';
import type { Socket } from 'node:net';

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const HEAD_BYTES = 9;
const GRPC_HEAD_BYTES = 5;
const DEFAULT_WINDOW_BYTES = 65_535;
const WINDOW_MAX_BYTES = 2 ** 31 - 1;
/** Of its frames this client looks at these. */
const DATA = 0;
const HEADERS = 1;
const RST_STREAM = 3;
const SETTINGS = 4;
const PING = 6;
const GOAWAY = 7;
const WINDOW_UPDATE = 8;
const END_STREAM = 1;
const ACK = 1;
const END_HEADERS = 4;
const SETTING_HEADER_TABLE_SIZE = 1;
const SETTING_ENABLE_PUSH = 2;
const SETTING_INITIAL_WINDOW_SIZE = 4;

interface Request {
  readonly path: string;
  /** Of the first call; those of the others are as long. */
  readonly message: Buffer;
  /** Of connecting, and of each call. */
  readonly timeoutMs: number;
}

interface Call {
  readonly stream: number;
  /** A gRPC answer has a message unless the status is an error. */
  answered: boolean;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class CallConnection {
  readonly #socket: Socket;
  readonly #frames: Buffer;
  readonly #message: Buffer;
  readonly #streamPlaces: readonly number[];
  readonly #timer: NodeJS.Timeout;
  #nextStream = 1;
  /** Bytes of data that the server takes now: on the connection, and at first on each stream. */
  #window = DEFAULT_WINDOW_BYTES;
  #streamWindow = DEFAULT_WINDOW_BYTES;
  #onWindow = (): void => undefined;
  #call: Call | undefined;
  #rest: Buffer = Buffer.alloc(0);
  #failed: Error | undefined;

  private constructor(socket: Socket, request: Request) {
    this.#socket = socket;
    const headers = headerBlock(request);
    const { message, timeoutMs } = request;
    const grpcBytes = GRPC_HEAD_BYTES + message.length;
    const dataAt = HEAD_BYTES + headers.length;
    const messageAt = dataAt + HEAD_BYTES + GRPC_HEAD_BYTES;
    this.#frames = Buffer.alloc(messageAt + message.length);
    writeHead(this.#frames, 0, { length: headers.length, type: HEADERS, flags: END_HEADERS });
    headers.copy(this.#frames, HEAD_BYTES);
    writeHead(this.#frames, dataAt, { length: grpcBytes, type: DATA, flags: END_STREAM });
    this.#frames.writeUInt32BE(message.length, messageAt - 4);
    message.copy(this.#frames, messageAt);
    this.#message = this.#frames.subarray(messageAt);
    this.#streamPlaces = [HEAD_BYTES - 4, dataAt + HEAD_BYTES - 4];
    this.#timer = setTimeout(() => this.#overdue(), timeoutMs);
    socket.on('data', (bytes: Buffer) => this.#read(bytes));
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('the connection was closed')));
    socket.write(greeting());
  }

  /** Speaks on a socket that emits `ready` when it is connected. @throws when it is not, in time. */
  static async open(socket: Socket, ready: string, request: Request): Promise<CallConnection> {
    try {
      await once(socket, ready, { signal: AbortSignal.timeout(request.timeoutMs) });
    } catch (error) {
      socket.destroy();
      throw error;
    }
    return new CallConnection(socket, request);
  }

  get isBroken(): boolean {
    return this.#failed !== undefined;
  }

  /** `change` alters the message of the call before. @throws when it is refused, the connection breaks or the time is up. */
  async call(change: (message: Buffer) => void): Promise<void> {
    while (this.#failed === undefined && this.#mayNotSend()) {
      await new Promise<void>((resolve) => (this.#onWindow = resolve));
    }
    const failed = this.#failed;
    if (failed !== undefined) throw failed;
    const stream = this.#nextStream;
    this.#nextStream += 2;
    change(this.#message);
    for (const at of this.#streamPlaces) this.#frames.writeUInt32BE(stream, at);
    this.#window -= GRPC_HEAD_BYTES + this.#message.length;
    this.#timer.refresh();
    await new Promise<void>((resolve, reject) => {
      this.#call = { stream, answered: false, resolve, reject };
      this.#socket.write(this.#frames);
    });
  }

  #mayNotSend(): boolean {
    const bytes = GRPC_HEAD_BYTES + this.#message.length;
    return bytes > this.#window || bytes > this.#streamWindow;
  }

  #read(bytes: Buffer): void {
    let left = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    while (left.length >= HEAD_BYTES) {
      const end = HEAD_BYTES + left.readUIntBE(0, 3);
      if (left.length < end) break;
      const [type = 0, flags = 0] = left.subarray(3, 5);
      this.#frame({ type, flags, stream: left.readUInt32BE(5) }, left.subarray(HEAD_BYTES, end));
      left = left.subarray(end);
    }
    this.#rest = left;
  }

  #frame(head: { type: number; flags: number; stream: number }, payload: Buffer): void {
    const { type, flags, stream } = head;
    const call = this.#call?.stream === stream ? this.#call : undefined;
    if (type === DATA || type === HEADERS) {
      if (call === undefined) return;
      if (type === DATA) call.answered ||= payload.length >= GRPC_HEAD_BYTES;
      if ((flags & END_STREAM) !== 0) this.#end(call.answered ? undefined : new Error('refused'));
    } else if (type === RST_STREAM) {
      if (call !== undefined) this.#end(new Error('the call was reset'));
    } else if (type === GOAWAY) {
      this.#fail(new Error('the server goes away'));
    } else if (type === WINDOW_UPDATE) {
      if (stream === 0) this.#widen(payload.readUInt32BE(0));
    } else if ((type === SETTINGS || type === PING) && (flags & ACK) === 0) {
      if (type === SETTINGS) this.#settings(payload);
      this.#socket.write(type === PING ? frame(PING, ACK, payload) : frame(SETTINGS, ACK));
    }
  }

  #settings(payload: Buffer): void {
    for (let at = 0; at + 6 <= payload.length; at += 6) {
      if (payload.readUInt16BE(at) === SETTING_INITIAL_WINDOW_SIZE)
        this.#streamWindow = payload.readUInt32BE(at + 2);
    }
    this.#widen(0);
  }

  #widen(bytes: number): void {
    this.#window += bytes;
    this.#onWindow();
  }

  #end(error: Error | undefined): void {
    const call = this.#call;
    this.#call = undefined;
    if (error === undefined) call?.resolve();
    else call?.reject(error);
  }

  /** The time of a call runs on after it; nobody waits then. */
  #overdue(): void {
    if (this.#call !== undefined) this.#fail(new Error('no answer in time'));
  }

  #fail(error: Error): void {
    this.#failed ??= error;
    clearTimeout(this.#timer);
    this.#socket.destroy();
    this.#end(this.#failed);
    this.#onWindow();
  }
}

/** Without a dynamic table, and with as much room for answers as there can be. */
function greeting(): Buffer {
  const settings = Buffer.alloc(12);
  settings.writeUInt16BE(SETTING_HEADER_TABLE_SIZE, 0);
  settings.writeUInt16BE(SETTING_ENABLE_PUSH, 6);
  const window = Buffer.alloc(4);
  window.writeUInt32BE(WINDOW_MAX_BYTES - DEFAULT_WINDOW_BYTES);
  return Buffer.concat([
    Buffer.from(PREFACE),
    frame(SETTINGS, 0, settings),
    frame(WINDOW_UPDATE, 0, window),
  ]);
}

function frame(type: number, flags: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const bytes = Buffer.alloc(HEAD_BYTES + payload.length);
  writeHead(bytes, 0, { length: payload.length, type, flags });
  bytes.set(payload, HEAD_BYTES);
  return bytes;
}

/** With stream 0. */
function writeHead(
  bytes: Buffer,
  at: number,
  head: { length: number; type: number; flags: number },
): void {
  bytes.writeUIntBE(head.length, at, 3);
  bytes[at + 3] = head.type;
  bytes[at + 4] = head.flags;
}

/** HPACK (RFC 7541): two fields by their number in the static table, the rest as they are. */
function headerBlock({ path, timeoutMs }: { path: string; timeoutMs: number }): Buffer {
  const text = (value: string): Buffer =>
    Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]);
  const field = (name: string, value: string): Buffer =>
    Buffer.concat([Buffer.from([0]), text(name), text(value)]);
  return Buffer.concat([
    Buffer.from([0x83, 0x86]), // POST, http
    field(':path', path),
    field(':authority', 'localhost'),
    field('te', 'trailers'),
    field('content-type', 'application/grpc'),
    field('grpc-timeout', `${timeoutMs}m`),
  ]);
}
