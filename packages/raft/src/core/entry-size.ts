/** How large an entry counts. The unit is its protobuf encoding: what etcd counts, and close to the wire. */
import type { Entry } from './types.ts';

interface Sized {
  readonly data: Uint8Array;
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) bytes++;
  return bytes;
}

/** Bytes of one entry with its index, term and kind. */
export function entryBytes(entry: Entry): number {
  const length = entry.data.length;
  const kind = entry.kind === 'normal' ? 0 : 2;
  const data = length === 0 ? 0 : 1 + varintBytes(length) + length;
  return kind + 1 + varintBytes(entry.term) + 1 + varintBytes(entry.index) + data;
}

export function totalBytes(entries: readonly Entry[]): number {
  let sum = 0;
  for (const entry of entries) sum += entryBytes(entry);
  return sum;
}

/** Bytes of content alone; 0 for the empty entries that Raft itself appends. */
export function payloadBytes(entries: readonly Sized[]): number {
  let sum = 0;
  for (const entry of entries) sum += entry.data.length;
  return sum;
}

/** The longest prefix within `maxBytes`, but at least one entry if there is any. */
export function limitBytes(entries: readonly Entry[], maxBytes: number): readonly Entry[] {
  let sum = 0;
  for (const [position, entry] of entries.entries()) {
    sum += entryBytes(entry);
    if (sum > maxBytes && position > 0) return entries.slice(0, position);
  }
  return entries;
}
