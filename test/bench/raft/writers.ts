/** One connection to etcd or to us that writes a value of some bytes under new keys. */
import { readFileSync } from 'node:fs';
import { connect as connectSocket, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { fileURLToPath } from 'node:url';

import { loadSync, type MethodDefinition } from '@grpc/proto-loader';

import { CallConnection } from './http2-frames.ts';
import type { Target } from './load.ts';

export interface Writer {
  /** The `n`th write. @throws when it is refused, the connection breaks or the time is up. */
  write(n: number): Promise<void>;
}

export interface Writes {
  /** Keys are this and a number. */
  readonly prefix: string;
  readonly value: Buffer;
  readonly timeoutMs: number;
}

type Method = MethodDefinition<object, object>;

const RECONNECT_MS = 50;
/** Of the numbers in keys: all messages of a writer are as long. */
const DIGITS = 9;
const PROTO_DIR = fileURLToPath(new URL('../../../proto', import.meta.url));
const ETCD_PROTO = fileURLToPath(new URL('./etcd.proto', import.meta.url));

/** It connects with its first write, and anew after it broke. */
export function openWriter(target: Target, { prefix, value, timeoutMs }: Writes): Writer {
  const { path, encode } = requestOf(target);
  const key = (n: number): string => `${prefix}-${String(n).padStart(DIGITS, '0')}`;
  const message = encode(key(0), value);
  const keyAt = message.indexOf(key(0));
  let connection: CallConnection | undefined;
  let failed = false;
  const write = async (n: number): Promise<void> => {
    if (connection === undefined || connection.isBroken) {
      if (failed) await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
      const { socket, ready } = openSocket(target);
      connection = await CallConnection.open(socket, ready, { path, message, timeoutMs });
    }
    await connection.call((bytes) => bytes.write(key(n), keyAt, 'latin1'));
  };
  return {
    write: async (n) => {
      try {
        await write(n);
      } catch (error) {
        failed = true;
        throw error;
      }
    },
  };
}

/** Where a write goes, and its message. */
function requestOf(target: Target): {
  path: string;
  encode: (key: string, value: Buffer) => Buffer;
} {
  if (target.kind === 'etcd') {
    const put = methodOf({ file: ETCD_PROTO, service: 'etcdserverpb.KV', method: 'Put' });
    const encode = (key: string, value: Buffer): Buffer =>
      put.requestSerialize({ key: Buffer.from(key), value });
    return { path: put.path, encode };
  }
  const create = methodOf({
    file: 'swarm/v1/control.proto',
    service: 'swarm.v1.Control',
    method: 'CreateConfig',
  });
  const encode = (name: string, data: Buffer): Buffer =>
    create.requestSerialize({ spec: { name, data } });
  return { path: create.path, encode };
}

function methodOf(where: { file: string; service: string; method: string }): Method {
  const { file, service, method } = where;
  const definition = loadSync(file, { includeDirs: [PROTO_DIR] });
  const found = (definition[service] as Record<string, Method> | undefined)?.[method];
  if (found === undefined) throw new Error(`${file} describes no ${service}.${method}`);
  return found;
}

/** `ready`: the event that says that it is connected. */
function openSocket(target: Target): { socket: Socket; ready: string } {
  if (target.kind === 'swarm-socket') {
    return { socket: connectSocket(target.path), ready: 'connect' };
  }
  const [host = '', port] = target.address.split(':');
  if (target.kind === 'etcd') {
    return { socket: connectSocket({ host, port: Number(port), noDelay: true }), ready: 'connect' };
  }
  const read = (file: string): string => readFileSync(`${target.identityDir}/${file}`, 'utf8');
  const socket = connectTls({
    host,
    port: Number(port),
    ALPNProtocols: ['h2'],
    ca: read('ca.pem'),
    cert: read('node.pem'),
    key: read('node.pem'),
    // Certificates name nodes, not addresses; the cluster's root is what is checked.
    checkServerIdentity: () => undefined,
  });
  return { socket: socket.setNoDelay(true), ready: 'secureConnect' };
}
