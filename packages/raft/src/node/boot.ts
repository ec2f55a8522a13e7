/** From a folder to a member that is ready to run: opens and checks the log, or founds a cluster. */
import type { RaftConfig, ConfState, HardState } from '../core/types.ts';
import { productionConfig } from '../core/config.ts';
import { MemoryLog } from '../core/memory-log.ts';
import { RaftCore } from '../core/raft-core.ts';
import type { Random } from '@swarmd/base';
import { recordCipher } from '../wal/cipher.ts';
import { EMPTY_CONF, type SnapshotRecord } from '../wal/header.ts';
import { LogStore } from '../wal/log-store.ts';
import { SnapshotFolder } from '../wal/snapshot-folder.ts';
import { bootstrapEntry, MemberBook } from './membership.ts';
import type { RaftOptions, RaftTiming } from './types.ts';

export interface Booted {
  readonly store: LogStore;
  readonly folder: SnapshotFolder;
  readonly log: MemoryLog;
  readonly hard: HardState;
  readonly core: RaftCore;
  readonly book: MemberBook;
  /** To be restored before anything else. */
  readonly snapshot: SnapshotRecord | undefined;
}

/** @throws SwarmError see `LogStore.open`. */
export async function boot(options: RaftOptions, random: Random): Promise<Booted> {
  const { directory, clusterId, nodeId, raftId, encryptionKey } = options;
  const cipher = encryptionKey === undefined ? undefined : recordCipher(encryptionKey);
  const { store, stored } = await LogStore.open({
    directory,
    identity: { clusterId, nodeId, raftId },
    start: options.start === 'restart' ? 'restart' : 'create',
    cipher,
  });
  try {
    const folder = new SnapshotFolder(directory, cipher);
    await folder.clean(store.snapshots);
    const snapshot = stored.snapshots.at(-1);
    let { hard } = stored.header;
    const log = new MemoryLog({
      ...(snapshot && { snapshot: snapshot.descriptor }),
      base: stored.header.compacted,
      entries: stored.entries,
    });
    if (options.start === 'bootstrap' && log.last() === 0) {
      const append = [bootstrapEntry({ raftId, nodeId, address: options.advertise })];
      hard = { term: 1, vote: 0, commit: 1 };
      await store.write({ hard, append, sync: true });
      log.append(append);
    }
    const config = configOf(options, snapshot?.descriptor.index ?? 0);
    const conf: ConfState = snapshot?.descriptor.confState ?? EMPTY_CONF;
    const core = new RaftCore({ config, random, log, hard, conf });
    const book = new MemberBook(snapshot?.descriptor ?? { members: [], removed: [] });
    return { store, folder, log, hard, core, book, snapshot };
  } catch (error) {
    await store[Symbol.asyncDispose]();
    throw error;
  }
}

/** Unless said otherwise: a heartbeat every 100 ms, elections after 1 to 2 s of silence. */
export function timingOf(options: RaftOptions): RaftTiming {
  return options.timing ?? { tickMs: 50, heartbeatTicks: 2, electionTicks: 20 };
}

function configOf(options: RaftOptions, applied: number): RaftConfig {
  const { heartbeatTicks, electionTicks } = timingOf(options);
  return { ...productionConfig(options.raftId, applied), heartbeatTicks, electionTicks };
}
