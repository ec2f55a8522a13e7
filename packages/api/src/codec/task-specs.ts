/**
 * Specs of tasks, which thousands of tasks share: encoded once, decoded once, and one object in memory
 * however often they are read from the log. Specs are immutable, so sharing them is not visible.
 */
import type { TaskSpec } from '@swarmd/model';

import { encodePart, messageCodec } from './message.ts';

const codec = messageCodec<TaskSpec>('TaskSpec');
const encoded = new WeakMap<TaskSpec, Uint8Array>();
const shared = new Map<string, WeakRef<TaskSpec>>();
const unused = new FinalizationRegistry<string>((key) => {
  if (shared.get(key)?.deref() === undefined) shared.delete(key);
});

encodePart('Task', 'spec', (spec) => encodeTaskSpec(spec as TaskSpec));

export function encodeTaskSpec(spec: TaskSpec): Uint8Array {
  let bytes = encoded.get(spec);
  if (bytes === undefined) encoded.set(spec, (bytes = codec.encode(spec)));
  return bytes;
}

/** @throws SwarmError `invalid-argument` when the bytes are no spec. */
export function decodeTaskSpec(bytes: Uint8Array): TaskSpec {
  const key = keyOf(bytes);
  return shared.get(key)?.deref() ?? share(key, codec.decode(bytes), bytes);
}

/** The same spec as it is in memory already, if it is. */
export function sharedTaskSpec(spec: TaskSpec): TaskSpec {
  const bytes = encodeTaskSpec(spec);
  const key = keyOf(bytes);
  return shared.get(key)?.deref() ?? share(key, spec, bytes);
}

function share(key: string, spec: TaskSpec, bytes: Uint8Array): TaskSpec {
  // A copy: the bytes may be a part of a whole log entry, which they would keep in memory.
  encoded.set(spec, Uint8Array.from(bytes));
  shared.set(key, new WeakRef(spec));
  unused.register(spec, key);
  return spec;
}

function keyOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}
