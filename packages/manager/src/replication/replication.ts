/** Joins the store to Raft: entries and snapshots are the stored bytes of changes. */
import { decodeChanges, encodeChanges } from '@swarmd/api';
import { SwarmError } from '@swarmd/base';
import type { Change } from '@swarmd/model';
import type { AppliedEntry, Raft, StateMachine } from '@swarmd/raft';
import { estimateBytes, type AppliedRequest, type Store } from '@swarmd/store';

/** Objects in one chunk of a snapshot: some 20 KiB, which take a millisecond. */
const SNAPSHOT_CHUNK_CHANGES = 100;
/** The same by estimated size: a config may have 1 MiB, and a chunk has limits of Raft's. */
const SNAPSHOT_CHUNK_BYTES = 256 * 1024;
/** Proposals are told their outcome at once, so few are ever waited for. */
const VOIDED_MAX = 1_000;

interface Decoded {
  readonly changes: readonly Change[];
  readonly requests: readonly AppliedRequest[];
  readonly term?: number;
}

const NO_CHANGES: Decoded = { changes: [], requests: [] };
/** Requests in one chunk of a snapshot: each is some 60 bytes. */
const SNAPSHOT_CHUNK_REQUESTS = 2_000;

/**
 * The two halves of a manager's replication: what Raft feeds, and what transactions leave through.
 *
 * Invariant: an entry takes effect only if the term it was decided in is the term it was appended in.
 * A leader that loses and wins again while its main thread is busy would else commit decisions that
 * do not know what the leader in between has committed. All members judge alike: both terms are in
 * the log.
 */
export class Replication {
  readonly machine: StateMachine;
  /** Proposals under way: few, as transactions leave in batches, one after the other. */
  readonly #own = new Set<{ readonly data: Uint8Array; readonly decoded: Decoded }>();
  readonly #store: Store;
  /** Indexes of void entries that this member may be waiting for, oldest first. */
  readonly #voided = new Set<number>();

  constructor(store: Store) {
    this.#store = store;
    this.machine = {
      apply: (entries) => {
        for (const entry of entries) this.#apply(entry);
      },
      // The picture is taken now, the bytes are made while it is being read.
      snapshot: () => chunksOf(store.snapshot(), store.requests()),
      restore: (index) => {
        const changes: Change[] = [];
        const requests: AppliedRequest[] = [];
        return {
          // Decoded as they come, between other work: what is left for the end is quick.
          take: (chunk) => {
            const decoded = decodeChanges(chunk);
            for (const change of decoded.changes) changes.push(change);
            requests.push(...decoded.requests);
          },
          finish: () => store.restore(index, changes, requests),
        };
      },
    };
  }

  /** `term`: of the reign under which the changes were decided. Resolves with their index. */
  async propose(
    raft: Raft,
    proposal: {
      changes: readonly Change[];
      requests?: readonly AppliedRequest[];
      term: number;
    },
    signal: AbortSignal,
  ): Promise<number> {
    const { changes, requests = [], term } = proposal;
    const data = encodeChanges(changes, { requests, term });
    const own = { data, decoded: { changes, requests, term } };
    this.#own.add(own);
    try {
      const index = await raft.propose(data, signal);
      if (this.#voided.delete(index)) throw leadsNoMore();
      return index;
    } finally {
      this.#own.delete(own);
    }
  }

  /** What this member has just proposed need not be decoded: it is the same, and in memory already. */
  #decode(data: Uint8Array): Decoded {
    for (const own of this.#own) {
      if (Buffer.compare(own.data, data) === 0) return own.decoded;
    }
    return data.byteLength === 0 ? NO_CHANGES : decodeChanges(data);
  }

  #apply(entry: AppliedEntry): void {
    const { changes, requests, term } = this.#decode(entry.data);
    const isVoid = term !== undefined && term !== entry.term;
    if (isVoid) this.#void(entry.index);
    this.#store.apply(entry.index, isVoid ? [] : changes, isVoid ? [] : requests);
  }

  #void(index: number): void {
    this.#voided.add(index);
    if (this.#voided.size <= VOIDED_MAX) return;
    for (const oldest of this.#voided) {
      this.#voided.delete(oldest);
      return;
    }
  }
}

export function leadsNoMore(): SwarmError {
  return new SwarmError('unavailable', 'this manager leads no more; nothing was changed');
}

function* chunksOf(
  changes: Iterable<Change>,
  requests: readonly AppliedRequest[],
): Iterable<Uint8Array> {
  let chunk: Change[] = [];
  let bytes = 0;
  for (const change of changes) {
    chunk.push(change);
    bytes += estimateBytes([change]);
    if (chunk.length < SNAPSHOT_CHUNK_CHANGES && bytes < SNAPSHOT_CHUNK_BYTES) continue;
    yield encodeChanges(chunk);
    chunk = [];
    bytes = 0;
  }
  if (chunk.length > 0) yield encodeChanges(chunk);
  for (let at = 0; at < requests.length; at += SNAPSHOT_CHUNK_REQUESTS) {
    yield encodeChanges([], { requests: requests.slice(at, at + SNAPSHOT_CHUNK_REQUESTS) });
  }
}
