/**
 * The body of one blob as a stream that fails instead of hanging, and goes on where a connection was
 * lost (Range, RFC 9110 section 14) as long as that brings new bytes.
 */
import {
  abortReason,
  Backoff,
  errorCode,
  sleep,
  SwarmError,
  withDeadline,
  type Clock,
  type Random,
  type Timer,
} from '@swarmd/base';

import {
  PULL_BACKOFF,
  REGISTRY_SLOW_BYTES,
  REGISTRY_SLOW_WINDOW_MS,
  REGISTRY_STALL_MS,
  RESUME_FRESH_BYTES,
  RESUMES_MAX,
} from '../limits.ts';
import { unreachableRegistry, type BlobRequest } from '../registry/client.ts';
import { send, type HttpResponse } from '../registry/http.ts';

export interface FetchOptions {
  /** Bytes that are here already: the stream begins behind them. */
  readonly from: number;
  readonly sizeBytes: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly signal: AbortSignal;
}

/**
 * @throws SwarmError `unauthenticated` for 401 (a new token may help), `permission-denied`,
 *   `not-found`, `unavailable`.
 */
export async function* fetchBlob(
  request: BlobRequest,
  options: FetchOptions,
): AsyncGenerator<Uint8Array> {
  const { sizeBytes, clock, random, signal } = options;
  const backoff = new Backoff(PULL_BACKOFF, random);
  let offset = options.from;
  let resumed = 0;
  while (offset < sizeBytes) {
    const before = offset;
    try {
      for await (const chunk of fetchFrom(request, offset, options)) {
        offset += chunk.length;
        yield chunk;
      }
      // Cut short without an error, or longer than promised: for the digest to judge.
      if (offset >= sizeBytes) return;
      throw new SwarmError(
        'unavailable',
        `${nameOf(request)} ended a layer after ${offset} of ${sizeBytes} bytes`,
      );
    } catch (error) {
      if (signal.aborted) throw abortReason(signal);
      resumed += 1;
      // What crawls, or breaks off again and again, is not worth a connection after the other.
      const isWorthIt = offset - before >= REGISTRY_SLOW_BYTES && resumed <= RESUMES_MAX;
      if (errorCode(error) !== 'unavailable' || !isWorthIt) throw error;
      if (offset - before > RESUME_FRESH_BYTES) backoff.reset();
    }
    await sleep(clock, backoff.nextMs(), signal);
  }
}

/** One answer's bytes from `offset` on. */
async function* fetchFrom(
  request: BlobRequest,
  offset: number,
  { clock, signal }: FetchOptions,
): AsyncGenerator<Uint8Array> {
  const response = await ask(request, offset, { clock, signal });
  const { body } = response;
  const watch = new StallWatch(clock, (why) => body.destroy(new Error(why)));
  const abort = (): void => void body.destroy();
  signal.addEventListener('abort', abort, { once: true });
  try {
    // Who does not know ranges sends everything again.
    let skip = offset > 0 && response.status === 200 ? offset : 0;
    watch.begin();
    for await (const chunk of body as AsyncIterable<Uint8Array>) {
      watch.received(chunk.length);
      const wanted = chunk.subarray(Math.min(skip, chunk.length));
      skip -= chunk.length - wanted.length;
      if (wanted.length > 0) yield wanted;
      watch.begin();
    }
  } catch (error) {
    if (signal.aborted || error instanceof SwarmError) throw error;
    throw unreachableRegistry(nameOf(request), error);
  } finally {
    watch.end();
    signal.removeEventListener('abort', abort);
    body.destroy();
  }
}

async function ask(
  request: BlobRequest,
  offset: number,
  { clock, signal }: Pick<FetchOptions, 'clock' | 'signal'>,
): Promise<HttpResponse> {
  const name = nameOf(request);
  const headers = offset === 0 ? {} : { range: `bytes=${offset}-` };
  let response: HttpResponse;
  try {
    response = await withDeadline(
      { clock, timeoutMs: REGISTRY_STALL_MS, what: `asking ${name}`, signal },
      (signal) => send({ ...request, headers: { ...request.headers, ...headers } }, signal),
    );
  } catch (error) {
    throw signal.aborted ? error : unreachableRegistry(name, error);
  }
  const range = `bytes ${offset}-`;
  const { status } = response;
  const isRest = status === 206 && response.headers['content-range']?.startsWith(range) === true;
  if (status === 200 || isRest) return response;
  response.body.destroy();
  throw refused(name, status);
}

function nameOf({ url }: BlobRequest): string {
  return `registry ${new URL(url).host}`;
}

/**
 * Ends a body that brings nothing, or so little that it would never end. Only the time that we wait
 * for it counts, not what we take to unpack.
 */
class StallWatch {
  readonly #clock: Clock;
  readonly #fail: (why: string) => void;
  #timer: Timer | undefined;
  #since = 0;
  #waitedMs = 0;
  #bytes = 0;

  constructor(clock: Clock, fail: (why: string) => void) {
    this.#clock = clock;
    this.#fail = fail;
  }

  begin(): void {
    this.#since = this.#clock.monotonic();
    this.#timer = this.#clock.after(REGISTRY_STALL_MS, () =>
      this.#fail(`it sent nothing for ${REGISTRY_STALL_MS} ms`),
    );
  }

  received(bytes: number): void {
    this.end();
    this.#waitedMs += this.#clock.monotonic() - this.#since;
    this.#bytes += bytes;
    if (this.#waitedMs < REGISTRY_SLOW_WINDOW_MS) return;
    if (this.#bytes < REGISTRY_SLOW_BYTES) {
      throw new SwarmError(
        'unavailable',
        `it sent only ${this.#bytes} bytes in ${Math.round(this.#waitedMs / 1_000)} s`,
      );
    }
    this.#waitedMs = 0;
    this.#bytes = 0;
  }

  end(): void {
    this.#timer?.cancel();
  }
}

function refused(name: string, status: number): SwarmError {
  const said = `${name} answered HTTP ${status} for a layer`;
  if (status === 401) return new SwarmError('unauthenticated', said);
  if (status === 403) return new SwarmError('permission-denied', said);
  if (status === 404) return new SwarmError('not-found', said);
  const mayPass = status >= 500 || status === 429 || status === 408;
  return new SwarmError(mayPass ? 'unavailable' : 'internal', said);
}
