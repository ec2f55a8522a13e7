/**
 * A state machine's chunks gathered into frames of about FRAME_BYTES, so that many small ones cost
 * neither a message nor a checksum each: `{ length(4) | chunk }`, repeated. Boundaries are kept.
 */
import { SwarmError } from '@swarmd/base';

import { CHUNK_MAX_BYTES, FRAME_BYTES } from './limits.ts';

const LENGTH_BYTES = 4;

/** @throws SwarmError `resource-exhausted` for a chunk above CHUNK_MAX_BYTES. */
export function* packChunks(
  chunks: Iterable<Uint8Array>,
  frameBytes = FRAME_BYTES,
): Generator<ArrayBuffer> {
  let waiting: Uint8Array[] = [];
  let bytes = 0;
  for (const chunk of chunks) {
    if (chunk.length > CHUNK_MAX_BYTES) {
      throw new SwarmError(
        'resource-exhausted',
        `a snapshot chunk has ${chunk.length} bytes; the limit is ${CHUNK_MAX_BYTES}`,
      );
    }
    waiting.push(chunk);
    bytes += LENGTH_BYTES + chunk.length;
    if (bytes < frameBytes) continue;
    yield toFrame(waiting, bytes);
    waiting = [];
    bytes = 0;
  }
  if (waiting.length > 0) yield toFrame(waiting, bytes);
}

export function* unpackChunks(frames: Iterable<ArrayBuffer>): Generator<Uint8Array> {
  for (const frame of frames) {
    const view = new DataView(frame);
    for (let at = 0; at < frame.byteLength;) {
      const length = view.getUint32(at);
      yield new Uint8Array(frame, at + LENGTH_BYTES, length);
      at += LENGTH_BYTES + length;
    }
  }
}

function toFrame(chunks: readonly Uint8Array[], bytes: number): ArrayBuffer {
  const frame = new ArrayBuffer(bytes);
  const view = new DataView(frame);
  let at = 0;
  for (const chunk of chunks) {
    view.setUint32(at, chunk.length);
    new Uint8Array(frame).set(chunk, at + LENGTH_BYTES);
    at += LENGTH_BYTES + chunk.length;
  }
  return frame;
}
