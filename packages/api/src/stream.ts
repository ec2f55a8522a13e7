/** gRPC streams as async iterables, with back-pressure in both directions. */
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';

import { abortReason } from '@swarmd/base';

import { unlessAborted } from './abort.ts';

/**
 * The stream's messages, read only as fast as they are consumed. Ends when the other side has ended
 * its half; throws when the stream fails, or `signal`'s reason when that aborts.
 */
export async function* readMessages<T>(
  stream: Readable,
  decode: (bytes: Uint8Array) => T,
  signal: AbortSignal,
): AsyncGenerator<T, void, undefined> {
  let ended = false;
  let failure: Error | undefined;
  let wake = (): void => undefined;
  const onEnd = (): void => ((ended = true), wake());
  const onError = (error: Error): void => ((failure ??= error), wake());
  const onReadable = (): void => wake();
  stream.on('readable', onReadable).on('end', onEnd).on('close', onEnd).on('error', onError);
  signal.addEventListener('abort', onReadable);
  try {
    for (;;) {
      if (signal.aborted) throw abortReason(signal);
      const bytes = stream.read() as Uint8Array | null;
      if (bytes !== null) {
        yield decode(bytes);
        continue;
      }
      if (failure !== undefined) throw failure;
      if (ended) return;
      await new Promise<void>((resolve) => (wake = resolve));
    }
  } finally {
    stream.off('readable', onReadable).off('end', onEnd).off('close', onEnd);
    signal.removeEventListener('abort', onReadable);
    // Errors that come late have no reader any more; unheard they would crash the process.
    stream.off('error', onError).on('error', () => undefined);
  }
}

/**
 * Writes every item, waiting whenever the stream is full. Does not end the stream. When `signal`
 * aborts it throws at once, without waiting for the item that is being made.
 */
export async function writeMessages<T>(
  stream: Writable,
  items: AsyncIterable<T>,
  options: { readonly encode: (item: T) => Uint8Array; readonly signal: AbortSignal },
): Promise<void> {
  const { encode, signal } = options;
  const iterator = items[Symbol.asyncIterator]();
  let finished = false;
  try {
    for (;;) {
      const next = await unlessAborted(iterator.next(), signal);
      finished = next.done === true;
      if (next.done === true) return;
      if (!stream.write(encode(next.value))) await unlessAborted(once(stream, 'drain'), signal);
    }
  } finally {
    // Not awaited: a source that waits for something else would keep us waiting too.
    if (!finished) iterator.return?.().catch(() => undefined);
  }
}
