/** Estimates how large changes are when encoded, so that batches stay bounded. */
import type { Change, ObjectOf, TableName } from '@swarmd/model';

const SCALAR_BYTES = 8;

/** Specs are large and shared by thousands of tasks; their size is worth remembering. */
const specs = new WeakMap<object, number>();

/** Bytes, roughly: text by its length, numbers and flags as 8, keys as 1. */
export function estimateBytes(changes: Iterable<Change>): number {
  // A spec is encoded once for all tasks that have it.
  const counted = new Set<object>();
  let bytes = 0;
  for (const change of changes) {
    if (change.kind === 'delete') bytes += change.id.length + SCALAR_BYTES;
    else bytes += sizeOfObject(change.object, counted);
  }
  return bytes;
}

function sizeOfObject(object: ObjectOf[TableName], counted: Set<object>): number {
  let bytes = 0;
  let key: keyof typeof object;
  for (key in object) {
    bytes += 1;
    if (key !== 'spec') bytes += sizeOf(object[key]);
    else if (!counted.has(object.spec)) {
      counted.add(object.spec);
      bytes += sizeOfSpec(object.spec);
    }
  }
  return bytes;
}

function sizeOfSpec(spec: object): number {
  let bytes = specs.get(spec);
  if (bytes === undefined) {
    bytes = sizeOf(spec);
    specs.set(spec, bytes);
  }
  return bytes;
}

function sizeOf(value: unknown): number {
  if (typeof value === 'string') return value.length + 2;
  if (typeof value !== 'object' || value === null) return SCALAR_BYTES;
  if (value instanceof Uint8Array) return value.byteLength;
  let bytes = 2;
  if (Array.isArray(value)) for (const item of value) bytes += 1 + sizeOf(item);
  else for (const key in value) bytes += 1 + sizeOf((value as Record<string, unknown>)[key]);
  return bytes;
}
