/**
 * One connection to etcd or to us that can write a value of some bytes under a new key. It speaks gRPC
 * with Node's HTTP/2 alone: with grpc-js the clients, who share their processors with the servers,
 * would need more of them than any server does, and all sides would look alike.
 */
import { readFileSync } from 'node:fs';
import { connect, constants, type ClientHttp2Session, type IncomingHttpHeaders } from 'node:http2';
import { connect as connectSocket } from 'node:net';
import { fileURLToPath } from 'node:url';

import { loadSync, type MethodDefinition } from '@grpc/proto-loader';

import type { Target } from './load.ts';

export interface Writer {
  /** @throws when it is refused, the connection breaks or the time is up. */
  write(key: string, value: Buffer, timeoutMs: number): Promise<void>;
}

type Method = MethodDefinition<object, object>;

const RECONNECT_MS = 50;
const FRAME_HEAD_BYTES = 5;
const PROTO_DIR = fileURLToPath(new URL('../../../proto', import.meta.url));
const ETCD_PROTO = fileURLToPath(new URL('./etcd.proto', import.meta.url));

export function openWriter(target: Target): Writer {
  const connection = new Connection(() => openSession(target));
  if (target.kind === 'etcd') {
    const put = methodOf({ file: ETCD_PROTO, service: 'etcdserverpb.KV', method: 'Put' });
    return {
      write: (key, value, timeoutMs) =>
        connection.call(put, { key: Buffer.from(key), value }, timeoutMs),
    };
  }
  const create = methodOf({
    file: 'swarm/v1/control.proto',
    service: 'swarm.v1.Control',
    method: 'CreateConfig',
  });
  return {
    write: (name, data, timeoutMs) => connection.call(create, { spec: { name, data } }, timeoutMs),
  };
}

function methodOf(where: { file: string; service: string; method: string }): Method {
  const { file, service, method } = where;
  const definition = loadSync(file, { includeDirs: [PROTO_DIR] });
  const found = (definition[service] as Record<string, Method> | undefined)?.[method];
  if (found === undefined) throw new Error(`${file} describes no ${service}.${method}`);
  return found;
}

function openSession(target: Target): ClientHttp2Session {
  if (target.kind === 'etcd') return connect(`http://${target.address}`);
  if (target.kind === 'swarm-socket') {
    return connect('http://localhost', { createConnection: () => connectSocket(target.path) });
  }
  const read = (file: string): string => readFileSync(`${target.identityDir}/${file}`, 'utf8');
  return connect(`https://${target.address}`, {
    ca: read('ca.pem'),
    cert: read('node.pem'),
    key: read('node.pem'),
    // Certificates name nodes, not addresses; the cluster's root is what is checked.
    checkServerIdentity: () => undefined,
  });
}

/** Opened anew after it broke. */
class Connection {
  readonly #open: () => ClientHttp2Session;
  #session: ClientHttp2Session | undefined;

  constructor(open: () => ClientHttp2Session) {
    this.#open = open;
  }

  async call(method: Method, request: object, timeoutMs: number): Promise<void> {
    if (this.#session?.destroyed === true || this.#session?.closed === true) {
      await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
      this.#session = undefined;
    }
    const session = (this.#session ??= this.#connect());
    await exchange(session, { path: method.path, timeoutMs }, method.requestSerialize(request));
  }

  #connect(): ClientHttp2Session {
    const session = this.#open();
    // The calls that it breaks are told.
    session.on('error', () => undefined);
    return session;
  }
}

function exchange(
  session: ClientHttp2Session,
  { path, timeoutMs }: { path: string; timeoutMs: number },
  message: Buffer,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      te: 'trailers',
      'content-type': 'application/grpc',
      'grpc-timeout': `${timeoutMs}m`,
    });
    let status: IncomingHttpHeaders[string];
    let why = 'no status';
    const look = (headers: IncomingHttpHeaders): void => {
      status ??= headers['grpc-status'];
      why = String(headers['grpc-message'] ?? why);
    };
    stream.on('response', look);
    stream.on('trailers', look);
    stream.on('error', reject);
    stream.on('close', () => {
      if (status === '0') resolve();
      else reject(new Error(`${path}: ${String(status)} ${why}`));
    });
    stream.setTimeout(timeoutMs, () => stream.close(constants.NGHTTP2_CANCEL));
    stream.resume();
    stream.end(frame(message));
  });
}

/** Not compressed, and its length. */
function frame(message: Buffer): Buffer {
  const framed = Buffer.allocUnsafe(FRAME_HEAD_BYTES + message.length);
  framed[0] = 0;
  framed.writeUInt32BE(message.length, 1);
  framed.set(message, FRAME_HEAD_BYTES);
  return framed;
}
