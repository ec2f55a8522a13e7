/** Estimates how large changes are when encoded, so that batches stay bounded. */
import type { Change } from '@swarmd/model';

const SCALAR_BYTES = 8;

/** Specs are shared by thousands of tasks; their size is worth remembering. */
const known = new WeakMap<object, number>();

/** Bytes, roughly: text by its length, numbers and flags as 8, keys as 1. */
export function estimateBytes(change: Change): number {
  return change.kind === 'delete' ? change.id.length + SCALAR_BYTES : sizeOf(change.object);
}

function sizeOf(value: unknown): number {
  if (typeof value === 'string') return value.length + 2;
  if (typeof value !== 'object' || value === null) return SCALAR_BYTES;
  if (value instanceof Uint8Array) return value.byteLength;
  const before = known.get(value);
  if (before !== undefined) return before;
  let bytes = 2;
  for (const field of Object.values(value)) bytes += 1 + sizeOf(field);
  known.set(value, bytes);
  return bytes;
}
