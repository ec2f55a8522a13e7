/** Committed entries packed into one transferable buffer, and unpacked on the main thread. */
import type { Entry } from '../core/types.ts';
import type { AppliedEntry } from './types.ts';
import type { ApplyBatch } from './worker-protocol.ts';

/** Entries that are not the state machine's (membership changes) become empty ones. */
export function packBatch(entries: readonly Entry[], done: ApplyBatch['done']): ApplyBatch {
  const lengths = entries.map((entry) => (entry.kind === 'normal' ? entry.data.length : 0));
  const data = new Uint8Array(lengths.reduce((sum, length) => sum + length, 0));
  let at = 0;
  entries.forEach((entry, i) => {
    if (entry.kind !== 'normal') return;
    data.set(entry.data, at);
    at += lengths[i] ?? 0;
  });
  const terms = entries.map((entry) => entry.term);
  return { first: entries[0]?.index ?? 0, terms, lengths, data: data.buffer, done };
}

export function unpackBatch(batch: ApplyBatch): AppliedEntry[] {
  let at = 0;
  return batch.terms.map((term, i) => {
    const length = batch.lengths[i] ?? 0;
    const data = new Uint8Array(batch.data, at, length);
    at += length;
    return { index: batch.first + i, term, data };
  });
}
