/** One gRPC handler for each kind of method: admits the caller, decodes, calls, encodes, maps errors. */
import type { EventEmitter } from 'node:events';

import {
  Metadata,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type UntypedHandleCall,
} from '@grpc/grpc-js';
import { errorCode, errorMessage, SwarmError, type Logger } from '@swarmd/base';

import type { Call, ReplicaState } from '../contract/call.ts';
import { getRequestId } from '../request-id.ts';
import { isStale, setReplicaState } from '../replica-state.ts';
import type { BoundMethod } from '../service/definition.ts';
import { toStatus } from '../status.ts';
import { readMessages, writeMessages } from '../stream.ts';
import { admit, type Connection } from './admit.ts';

/** The server a handler belongs to. */
export interface HandlerHost {
  readonly logger: Logger;
  /** Aborts when the server stops: streams end. */
  readonly stopping: AbortSignal;
  /** Aborts a moment later: calls that would have answered by then could do so. */
  readonly cutting: AbortSignal;
  connectionOf(call: GrpcCall): Connection;
}

export type GrpcCall =
  | ServerUnaryCall<Uint8Array, Uint8Array>
  | ServerReadableStream<Uint8Array, Uint8Array>
  | ServerWritableStream<Uint8Array, Uint8Array>
  | ServerDuplexStream<Uint8Array, Uint8Array>;

export type Implementation = Readonly<
  Record<string, (request: unknown, call: Call) => Promise<unknown> | AsyncIterable<unknown>>
>;

export function handlerFor(
  method: BoundMethod,
  implementation: Implementation,
  host: HandlerHost,
): UntypedHandleCall {
  const target = implementation[method.name];
  if (target === undefined) throw new TypeError(`${method.path} has no implementation`);
  const invoke = target.bind(implementation);
  if (!method.responseStream) {
    return ((call: ServerUnaryCall<Uint8Array, Uint8Array>, callback: UnaryCallback) => {
      void respond(call, callback, { method, host, invoke });
    }) as UntypedHandleCall;
  }
  return ((call: StreamCall) => {
    void stream(call, { method, host, invoke }).then(
      () => call.end(),
      (error: unknown) => call.emit('error', statusError(error, method, host)),
    );
  }) as UntypedHandleCall;
}

type StreamCall =
  ServerWritableStream<Uint8Array, Uint8Array> | ServerDuplexStream<Uint8Array, Uint8Array>;
type UnaryCallback = (error: Error | null, bytes?: Uint8Array, trailer?: Metadata) => void;

interface Context {
  readonly method: BoundMethod;
  readonly host: HandlerHost;
  readonly invoke: (request: unknown, call: Call) => Promise<unknown> | AsyncIterable<unknown>;
}

/** Never rejects: an error is also something to call back with. */
async function respond(
  call: ServerUnaryCall<Uint8Array, Uint8Array>,
  callback: UnaryCallback,
  context: Context,
): Promise<void> {
  const trailer = new Metadata();
  let bytes: Uint8Array;
  try {
    bytes = await answer(call, context, trailer);
  } catch (error) {
    callback(statusError(error, context.method, context.host));
    return;
  }
  callback(null, bytes, trailer);
}

async function answer(
  call: ServerUnaryCall<Uint8Array, Uint8Array>,
  { method, host, invoke }: Context,
  trailer: Metadata,
): Promise<Uint8Array> {
  const caller = admit(host.connectionOf(call), method, call.metadata);
  using signal = callSignal(call, host.cutting);
  const request = method.request.decode(call.request);
  const requestId = method.writes ? getRequestId(call.metadata) : undefined;
  const response = await invoke(request, {
    ...caller,
    signal: signal.value,
    ...(requestId === undefined ? {} : { requestId }),
    ...(!method.writes && isStale(call.metadata)
      ? { stale: true, onState: (state: ReplicaState) => setReplicaState(trailer, state) }
      : {}),
  });
  return method.response.encode(response);
}

async function stream(call: StreamCall, { method, host, invoke }: Context): Promise<void> {
  const caller = admit(host.connectionOf(call), method, call.metadata);
  using signal = callSignal(call, host.stopping);
  const request =
    'request' in call
      ? method.request.decode(call.request)
      : readMessages(call, (bytes) => method.request.decode(bytes), signal.value);
  const items = invoke(request, { ...caller, signal: signal.value }) as AsyncIterable<unknown>;
  await writeMessages(call, items, {
    encode: (item) => method.response.encode(item),
    signal: signal.value,
  });
}

/** Aborts when the caller is gone, its deadline has passed, or `stop` aborts. */
function callSignal(call: GrpcCall, stop: AbortSignal): Disposable & { value: AbortSignal } {
  const controller = new AbortController();
  const cancelled = (): void =>
    controller.abort(new SwarmError('cancelled', 'the caller has ended the call'));
  const stopped = (): void =>
    controller.abort(new SwarmError('unavailable', 'the server is stopping; ask another one'));
  const events: EventEmitter = call;
  events.on('cancelled', cancelled);
  stop.addEventListener('abort', stopped, { once: true });
  if (call.cancelled) cancelled();
  else if (stop.aborted) stopped();
  return {
    value: controller.signal,
    [Symbol.dispose]() {
      events.off('cancelled', cancelled);
      stop.removeEventListener('abort', stopped);
    },
  };
}

function statusError(error: unknown, method: BoundMethod, host: HandlerHost): Error {
  if (errorCode(error) === 'internal') {
    host.logger.error({ err: error, method: method.path }, 'call failed unexpectedly');
  } else {
    host.logger.debug({ code: errorCode(error), method: method.path }, errorMessage(error));
  }
  const { code, details, metadata } = toStatus(error);
  return Object.assign(new Error(details), { code, details, metadata: metadata ?? new Metadata() });
}
