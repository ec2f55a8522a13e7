/** Joins the store to Raft: entries and snapshots are the stored bytes of changes. */
import { decodeChanges, encodeChanges } from '@swarmd/api';
import { assert } from '@swarmd/base';
import type { Change } from '@swarmd/model';
import type { AppliedEntry, Raft, StateMachine } from '@swarmd/raft';
import type { Proposer, Store } from '@swarmd/store';

/** Objects in one chunk of a snapshot: some 100 KiB, so that no chunk is near gRPC's limit. */
const SNAPSHOT_CHUNK_CHANGES = 100;

export function storeStateMachine(store: Store): StateMachine {
  return {
    apply(entries: readonly AppliedEntry[]): void {
      for (const entry of entries) {
        store.apply(
          entry.index,
          entry.data.byteLength === 0 ? [] : decodeChanges(entry.data).changes,
        );
      }
    },
    // The picture is taken now, the bytes are made while it is being read.
    snapshot: () => chunksOf(store.snapshot()),
    restore(chunks: Iterable<Uint8Array>, index: number): void {
      store.restore(index, changesOf(chunks));
    },
  };
}

function* chunksOf(changes: Iterable<Change>): Iterable<Uint8Array> {
  let chunk: Change[] = [];
  for (const change of changes) {
    chunk.push(change);
    if (chunk.length < SNAPSHOT_CHUNK_CHANGES) continue;
    yield encodeChanges(chunk);
    chunk = [];
  }
  if (chunk.length > 0) yield encodeChanges(chunk);
}

function* changesOf(chunks: Iterable<Uint8Array>): Iterable<Change> {
  for (const chunk of chunks) yield* decodeChanges(chunk).changes;
}

/** Raft is started with the state machine, so it comes after the store. */
export function raftProposer(raft: () => Raft | undefined): Proposer {
  return {
    propose(changes, signal) {
      const started = raft();
      assert(started !== undefined, 'nothing is proposed before Raft has started');
      return started.propose(encodeChanges(changes), signal);
    },
  };
}
