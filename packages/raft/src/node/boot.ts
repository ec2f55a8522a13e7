/** From a folder to a member that is ready to run: opens and checks the log, or founds a cluster. */
import type { HardState, RaftConfig, RaftStateMachine } from '../core/types.ts';
import { productionConfig } from '../core/config.ts';
import { MemoryLog } from '../core/memory-log.ts';
import { RaftCore } from '../core/raft-core.ts';
import type { Random } from '@swarmd/base';
import { recordCipher } from '../wal/cipher.ts';
import type { StoredLog } from '../wal/boot-check.ts';
import { EMPTY_CONF, type SnapshotRecord } from '../wal/header.ts';
import { LogStore } from '../wal/log-store.ts';
import { SnapshotFolder } from '../wal/snapshot-folder.ts';
import type { Storage } from '../wal/storage.ts';
import { forceCluster, type ForcedCluster } from './forced-cluster.ts';
import { bootstrapEntry, EMPTY_BOOK, MemberBook } from './membership.ts';
import { timingOf } from './timing.ts';
import type { RaftOptions } from './types.ts';

export interface Booted {
  readonly store: LogStore;
  readonly folder: SnapshotFolder;
  readonly log: MemoryLog;
  readonly hard: HardState;
  readonly core: RaftStateMachine;
  readonly book: MemberBook;
  /** To be restored before anything else. */
  readonly snapshot: SnapshotRecord | undefined;
  /** Who had to go for `forceNewCluster`; undefined unless a cluster was founded anew just now. */
  readonly expelled: readonly number[] | undefined;
}

export interface BootContext {
  readonly options: RaftOptions;
  readonly storage: Storage;
  readonly random: Random;
  /** Instead of production's: simulations reach limits with little data. */
  readonly limits?: Partial<RaftConfig>;
}

/** @throws SwarmError see `LogStore.open`, and `forceCluster` where that is asked for. */
export async function boot(context: BootContext): Promise<Booted> {
  const { options, storage, random } = context;
  const { clusterId, nodeId, raftId, encryptionKey } = options;
  const cipher = encryptionKey === undefined ? undefined : recordCipher(encryptionKey);
  const { store, stored } = await LogStore.open({
    storage,
    identity: { clusterId, nodeId, raftId },
    start: options.start === 'restart' ? 'restart' : 'create',
    cipher,
  });
  try {
    const folder = new SnapshotFolder(storage, cipher);
    await folder.clean(() => store.snapshots);
    const snapshot = stored.snapshots.at(-1);
    const log = new MemoryLog({
      ...(snapshot && { snapshot: snapshot.descriptor }),
      base: stored.header.compacted,
      entries: stored.entries,
    });
    const first = firstEntries({ options, random }, { stored, log });
    if (first !== undefined) {
      await store.write({ ...first, sync: true });
      log.append(first.append);
    }
    const hard = first?.hard ?? stored.header.hard;
    const core = new RaftCore({
      config: { ...configOf(options, snapshot?.descriptor.index ?? 0), ...context.limits },
      random,
      log,
      hard,
      conf: snapshot?.descriptor.confState ?? EMPTY_CONF,
    });
    const book = new MemberBook(snapshot?.descriptor ?? EMPTY_BOOK);
    return { store, folder, log, hard, core, book, snapshot, expelled: first?.expelled };
  } catch (error) {
    await store[Symbol.asyncDispose]();
    throw error;
  }
}

/** What nobody but this start decides: the first entry of a cluster, or those that found it anew. */
function firstEntries(
  { options, random }: { options: RaftOptions; random: Random },
  { stored, log }: { stored: StoredLog; log: MemoryLog },
): (Pick<ForcedCluster, 'append' | 'hard'> & Partial<ForcedCluster>) | undefined {
  const self = { raftId: options.raftId, nodeId: options.nodeId, address: options.advertise };
  if (options.start === 'bootstrap' && log.last() === 0) {
    return { append: [bootstrapEntry(self)], hard: { term: 1, vote: 0, commit: 1 } };
  }
  if (options.forceNewCluster !== true) return undefined;
  const descriptor = stored.snapshots.at(-1)?.descriptor;
  const survivor = {
    self,
    hard: stored.header.hard,
    conf: descriptor?.confState ?? EMPTY_CONF,
    book: descriptor ?? EMPTY_BOOK,
    entries: stored.entries.filter((entry) => entry.index > (descriptor?.index ?? 0)),
    last: log.last(),
  };
  return forceCluster(survivor, 1 + Math.floor(random.next() * (2 ** 48 - 1)));
}

function configOf(options: RaftOptions, applied: number): RaftConfig {
  const { heartbeatTicks, electionTicks } = timingOf(options);
  return { ...productionConfig(options.raftId, applied), heartbeatTicks, electionTicks };
}
