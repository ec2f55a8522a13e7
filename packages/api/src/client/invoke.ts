/** Calls from the client's side: one function for each kind of method. */
import {
  Metadata,
  type CallOptions,
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientUnaryCall,
  type ServiceError,
} from '@grpc/grpc-js';
import { abortReason, SwarmError } from '@swarmd/base';
import { systemClock } from '@swarmd/base/system';

import type { Call } from '../contract/call.ts';
import { UNARY_TIMEOUT_MS } from '../limits.ts';
import { setOrigin } from '../origin.ts';
import { setRequestId } from '../request-id.ts';
import { getReplicaState, setStale } from '../replica-state.ts';
import { rawDefinition } from '../service/definition.ts';
import type { BoundMethod } from '../service/definition.ts';
import { fromStatus } from '../status.ts';
import { readMessages, writeMessages } from '../stream.ts';
import { connected, type Channel } from './channel.ts';

/** `unavailable` when there is no connection, `deadline-exceeded` after the call's time. */
export async function callUnary(
  channel: Channel,
  method: BoundMethod,
  { request, call }: { readonly request: unknown; readonly call: Call },
): Promise<unknown> {
  if (call.signal.aborted) throw abortReason(call.signal);
  const bytes = method.request.encode(request);
  await connected(channel, call.signal);
  const response = await exchange(bytes, { method, channel, call });
  try {
    return method.response.decode(response);
  } catch (cause) {
    const what = `${channel.address} answered ${method.path} with something unreadable`;
    throw new SwarmError('internal', `${what}; is it a newer version?`, { cause });
  }
}

function exchange(bytes: Uint8Array, context: Context): Promise<Uint8Array> {
  const { method, channel, call } = context;
  const { requestSerialize, responseDeserialize } = rawDefinition(method);
  return new Promise((resolve, reject) => {
    const onAbort = (): void => pending.cancel();
    const pending = channel
      .client()
      .makeUnaryRequest(
        method.path,
        requestSerialize,
        responseDeserialize,
        bytes,
        metadataOf(call),
        optionsOf(call, UNARY_TIMEOUT_MS),
        (error, response) => {
          call.signal.removeEventListener('abort', onAbort);
          if (error === null) resolve(response ?? new Uint8Array());
          else reject(translate(error, context));
        },
      );
    if (call.onState !== undefined) tellState(pending, call.onState);
    call.signal.addEventListener('abort', onAbort, { once: true });
  });
}

/** The trailers come before the response is given out. */
function tellState(pending: ClientUnaryCall, onState: NonNullable<Call['onState']>): void {
  pending.on('status', ({ metadata }) => {
    const state = getReplicaState(metadata);
    if (state !== undefined) onState(state);
  });
}

/** Starts when it is iterated; leaving the loop cancels the call. */
export async function* callServerStream(
  channel: Channel,
  method: BoundMethod,
  { request, call }: { readonly request: unknown; readonly call: Call },
): AsyncGenerator<unknown, void, undefined> {
  const { requestSerialize, responseDeserialize } = rawDefinition(method);
  if (call.signal.aborted) throw abortReason(call.signal);
  const bytes = method.request.encode(request);
  await connected(channel, call.signal);
  const stream = channel
    .client()
    .makeServerStreamRequest(
      method.path,
      requestSerialize,
      responseDeserialize,
      bytes,
      metadataOf(call),
      optionsOf(call),
    );
  yield* receive(stream, { method, channel, call });
}

/**
 * Starts when it is iterated; leaving the loop cancels the call. When `messages` ends, the server is
 * told so; when it throws, the call is cancelled and the error is thrown here.
 */
export async function* callBidi(
  channel: Channel,
  method: BoundMethod,
  { messages, call }: { readonly messages: AsyncIterable<unknown>; readonly call: Call },
): AsyncGenerator<unknown, void, undefined> {
  const { requestSerialize, responseDeserialize } = rawDefinition(method);
  if (call.signal.aborted) throw abortReason(call.signal);
  await connected(channel, call.signal);
  const stream = channel
    .client()
    .makeBidiStreamRequest(
      method.path,
      requestSerialize,
      responseDeserialize,
      metadataOf(call),
      optionsOf(call),
    );
  const sending = new AbortController();
  let failure: { readonly error: unknown } | undefined;
  void send(stream, messages, { method, signal: sending.signal }).catch((error: unknown) => {
    if (sending.signal.aborted) return;
    failure = { error };
    stream.cancel();
  });
  try {
    yield* receive(stream, { method, channel, call });
  } catch (error) {
    throw failure === undefined ? error : failure.error;
  } finally {
    sending.abort(new SwarmError('cancelled', 'the call has ended'));
  }
}

async function send(
  stream: ClientDuplexStream<Uint8Array, Uint8Array>,
  messages: AsyncIterable<unknown>,
  { method, signal }: { readonly method: BoundMethod; readonly signal: AbortSignal },
): Promise<void> {
  await writeMessages(stream, messages, { encode: (m) => method.request.encode(m), signal });
  stream.end();
}

interface Context {
  readonly method: BoundMethod;
  readonly channel: Channel;
  readonly call: Call;
}

async function* receive(
  stream: ClientReadableStream<Uint8Array> | ClientDuplexStream<Uint8Array, Uint8Array>,
  context: Context,
): AsyncGenerator<unknown, void, undefined> {
  const { method, call } = context;
  try {
    yield* readMessages(stream, (bytes) => method.response.decode(bytes), call.signal);
  } catch (error) {
    throw isServiceError(error) ? translate(error, context) : error;
  } finally {
    stream.cancel();
  }
}

function translate(error: ServiceError, { method, channel, call }: Context): Error {
  if (call.signal.aborted) return abortReason(call.signal);
  return fromStatus(error, {
    what: `${method.path.slice(1)} at ${channel.address}`,
    writes: method.writes,
  });
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && 'details' in error;
}

function metadataOf(call: Call): Metadata {
  const metadata = new Metadata();
  if (call.onBehalfOf !== undefined) setOrigin(metadata, call.onBehalfOf);
  if (call.stale === true) setStale(metadata);
  if (call.requestId !== undefined) setRequestId(metadata, call.requestId);
  return metadata;
}

/** gRPC takes deadlines as points of the real time, so a port would change nothing here. */
function optionsOf(call: Call, defaultTimeoutMs?: number): CallOptions {
  const timeoutMs = call.timeoutMs ?? defaultTimeoutMs;
  return timeoutMs === undefined ? {} : { deadline: systemClock.now() + timeoutMs };
}
