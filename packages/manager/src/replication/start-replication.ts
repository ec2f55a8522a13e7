/** Starts Raft with the store behind it. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { startRaft, type Raft } from '@swarmd/raft';
import { createStore, type Store } from '@swarmd/store';

import type { ManagerOptions } from '../options.ts';
import { leadsNoMore, Replication } from './replication.ts';

/** `decidingTerm`: the term in which this member may decide now, if it may. */
export async function startReplication(
  options: ManagerOptions,
  context: { stack: AsyncDisposableStack; decidingTerm: () => number | undefined },
): Promise<{ store: Store; raft: Raft }> {
  const directory = join(options.stateDir, 'manager', 'raft');
  await mkdir(directory, { recursive: true, mode: 0o700 });
  let started: Raft | undefined;
  const store: Store = createStore({
    clock: options.clock,
    proposer: {
      propose: async (changes, signal) => {
        const term = context.decidingTerm();
        if (term === undefined || started === undefined) throw leadsNoMore();
        return await replication.propose(started, { changes, term }, signal);
      },
    },
  });
  const replication = new Replication(store);
  const { raftTiming, snapshotEvery, clock, logger } = options;
  const raft = context.stack.use(
    await startRaft(
      {
        directory,
        clusterId: options.clusterId,
        nodeId: options.nodeId,
        raftId: options.raftId,
        start: options.start,
        listen: options.raftListen,
        advertise: options.advertise.raft,
        tls: options.identity,
        ...(raftTiming === undefined ? {} : { timing: raftTiming }),
        ...(snapshotEvery === undefined ? {} : { snapshotEvery }),
      },
      replication.machine,
      { clock, logger },
    ),
  );
  started = raft;
  return { store, raft };
}
