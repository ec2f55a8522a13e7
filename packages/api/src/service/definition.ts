/** How a contract interface becomes a gRPC service: what varies between methods, as data. */
import type { MethodDefinition } from '@grpc/grpc-js';
import { AssertionError } from '@swarmd/base';
import protobuf from 'protobufjs';

import { messageCodec, type MessageCodec } from '../codec/message.ts';
import { fullName, protoRoot } from '../proto-root.ts';

/**
 * Who may call over the cluster port. Local sockets are guarded by their file permissions instead.
 * anyone: also joiners without a certificate. nobody: only local sockets.
 */
export type Access = 'anyone' | 'node' | 'manager' | 'nobody';

export interface Method {
  readonly access: Access;
  /** True when repeating the call after a lost connection might do it twice. */
  readonly writes: boolean;
  /**
   * Field of the response message that is the contract's result; `message`: the whole message;
   * `nothing`: void.
   */
  readonly result: { readonly field: string } | 'message' | 'nothing';
}

export interface Service<Contract> {
  /** "Control" in our package, or a full name. */
  readonly name: string;
  readonly methods: { readonly [K in keyof Contract]: Method };
}

/** A method with its codecs in terms of the contract. */
export interface BoundMethod extends Method {
  /** As in the contract, e.g. "createService". */
  readonly name: string;
  /** e.g. "/swarm.v1.Control/CreateService". */
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly request: MessageCodec<unknown>;
  readonly response: MessageCodec<unknown>;
}

const bound = new Map<object, readonly BoundMethod[]>();

/** The methods of a service, joined with what its proto file says. */
export function bind<Contract>(service: Service<Contract>): readonly BoundMethod[] {
  let methods = bound.get(service);
  if (methods === undefined) {
    methods = bindMethods(service.name, service.methods);
    bound.set(service, methods);
  }
  return methods;
}

function bindMethods(name: string, methods: Readonly<Record<string, Method>>): BoundMethod[] {
  const described = protoRoot().lookupService(fullName(name));
  return Object.entries(methods).map(([method, definition]) => {
    const found = described.methods[method.charAt(0).toUpperCase() + method.slice(1)];
    if (!(found instanceof protobuf.Method)) {
      throw new AssertionError(`${name}.${method} is missing in the proto files`);
    }
    return {
      ...definition,
      name: method,
      path: `/${fullName(name)}/${found.name}`,
      requestStream: found.requestStream === true,
      responseStream: found.responseStream === true,
      request: messageCodec(typeName(found.resolvedRequestType)),
      response: resultCodec(typeName(found.resolvedResponseType), definition.result),
    };
  });
}

function typeName(type: protobuf.Type | null): string {
  if (type === null) throw new AssertionError('a message of the proto files is not resolved');
  return type.fullName.slice(1);
}

function resultCodec(type: string, result: Method['result']): MessageCodec<unknown> {
  const codec = messageCodec<unknown>(type);
  if (result === 'message') return codec;
  if (result === 'nothing') {
    return { encode: () => codec.encode({}), decode: () => undefined };
  }
  return {
    encode: (value) => codec.encode({ [result.field]: value }),
    decode: (bytes) => (codec.decode(bytes) as Record<string, unknown>)[result.field],
  };
}

/** Bytes in, bytes out: decoding happens in the handler, where its errors become statuses. */
export function rawDefinition(method: BoundMethod): MethodDefinition<Uint8Array, Uint8Array> {
  const asBuffer = (bytes: Uint8Array): Buffer =>
    Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const asBytes = (buffer: Buffer): Uint8Array => buffer;
  return {
    path: method.path,
    requestStream: method.requestStream,
    responseStream: method.responseStream,
    requestSerialize: asBuffer,
    requestDeserialize: asBytes,
    responseSerialize: asBuffer,
    responseDeserialize: asBytes,
  };
}
