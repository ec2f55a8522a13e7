/** The disk of a founder: a log that starts with a snapshot of an empty state and all founders. */
import type { ConfState, RaftId } from '../../core/types.ts';
import { EMPTY_CONF } from '../../wal/header.ts';
import { LogStore } from '../../wal/log-store.ts';
import { SnapshotFolder } from '../../wal/snapshot-folder.ts';
import type { Storage } from '../../wal/storage.ts';
import { packChunks } from '../../node/chunk-frames.ts';
import { CLUSTER_ID } from './sim-member.ts';

/** The empty state of `CommandMachine`. */
const DIGEST = Buffer.from('0');

export async function found(
  storage: Storage,
  raftId: RaftId,
  voters: readonly RaftId[],
): Promise<void> {
  const identity = { clusterId: CLUSTER_ID, nodeId: `node${raftId}`, raftId };
  const { store } = await LogStore.open({ storage, identity, start: 'create' });
  const confState: ConfState = { ...EMPTY_CONF, voters };
  const members = voters.map((id) => ({
    raftId: id,
    nodeId: `node${id}`,
    address: `member${id}`,
  }));
  const descriptor = { index: 1, term: 1, confState, members, removed: [] };
  const folder = new SnapshotFolder(storage, undefined);
  await using writer = await folder.beginWith(descriptor);
  for (const frame of packChunks([DIGEST])) await writer.append(new Uint8Array(frame));
  const record = folder.record(descriptor, await writer.finish());
  await store.write({ install: record, hard: { term: 1, vote: 0, commit: 1 }, sync: true });
  await store[Symbol.asyncDispose]();
}
