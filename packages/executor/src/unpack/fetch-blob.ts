/** The body of one blob as a stream that fails instead of hanging. */
import { SwarmError, type Clock } from '@swarmd/base';

import { REGISTRY_STALL_MS } from '../limits.ts';
import { unreachableRegistry, type BlobRequest } from '../registry/client.ts';

/**
 * @throws SwarmError `unauthenticated` for 401 (a new token may help), `not-found`, `unavailable`.
 */
export async function* fetchBlob(
  request: BlobRequest,
  options: { clock: Clock; signal: AbortSignal },
): AsyncGenerator<Uint8Array> {
  const { clock, signal } = options;
  const host = new URL(request.url).host;
  const controller = new AbortController();
  const abort = (): void => controller.abort(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  const watch = (): (() => void) => {
    const timer = clock.after(REGISTRY_STALL_MS, () =>
      controller.abort(new Error(`it sent nothing for ${REGISTRY_STALL_MS} ms`)),
    );
    return () => timer.cancel();
  };
  let calm = watch();
  try {
    if (signal.aborted) abort();
    const response = await fetch(request.url, {
      headers: request.headers,
      signal: controller.signal,
    });
    if (!response.ok) throw refused(host, response.status);
    for await (const chunk of response.body ?? []) {
      calm();
      yield chunk;
      calm = watch();
    }
  } catch (error) {
    if (signal.aborted || error instanceof SwarmError) throw error;
    const reason: unknown = controller.signal.aborted ? controller.signal.reason : error;
    throw unreachableRegistry(`registry ${host}`, reason);
  } finally {
    calm();
    signal.removeEventListener('abort', abort);
    controller.abort();
  }
}

function refused(host: string, status: number): SwarmError {
  const said = `registry ${host} answered HTTP ${status} for a layer`;
  if (status === 401) return new SwarmError('unauthenticated', said);
  if (status === 403) return new SwarmError('permission-denied', said);
  if (status === 404) return new SwarmError('not-found', said);
  return new SwarmError(status >= 500 || status === 429 ? 'unavailable' : 'internal', said);
}
