/** Starts Raft with the store behind it. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { errorCode, errorMessage, SwarmError, type Clock, type NextTurn } from '@swarmd/base';
import type { NodeId } from '@swarmd/model';
import { startRaft, type Raft, type StateMachine } from '@swarmd/raft';
import { createStore, type Gather, type Store } from '@swarmd/store';

import type { ManagerOptions } from '../options.ts';
import { leadsNoMore, Replication } from './replication.ts';

/** Starts this member, feeding `machine`. Another one than `raftOnDisk` only in simulations. */
export type RaftStarter = (machine: StateMachine) => Promise<Raft>;

/** `decidingTerm`: the term in which this member may decide now, if it may. */
export async function startReplication(options: {
  clock: Clock;
  stack: AsyncDisposableStack;
  start: RaftStarter;
  decidingTerm: () => number | undefined;
  gather?: Gather | undefined;
}): Promise<{ store: Store; raft: Raft }> {
  let started: Raft | undefined;
  const store: Store = createStore({
    clock: options.clock,
    ...(options.gather === undefined ? {} : { gather: options.gather }),
    proposer: {
      propose: async (changes, signal, requests) => {
        const term = options.decidingTerm();
        if (term === undefined || started === undefined) throw leadsNoMore();
        return await replication.propose(started, { changes, requests, term }, signal);
      },
    },
  });
  const replication = new Replication(store);
  const raft = options.stack.use(await options.start(replication.machine));
  started = raft;
  return { store, raft };
}

/** Raft with its log in the manager's folder and its own listener. */
export function raftOnDisk(options: ManagerOptions, nextTurn: NextTurn): RaftStarter {
  const { raftTiming, snapshotEvery, clock, logger } = options;
  return async (machine) => {
    const directory = join(options.stateDir, 'manager', 'raft');
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const started = startRaft(
      {
        directory,
        clusterId: options.clusterId,
        nodeId: options.nodeId,
        raftId: options.raftId,
        start: options.start,
        listen: options.raftListen,
        advertise: options.advertise.raft,
        tls: options.identity,
        forceNewCluster: options.forceNewCluster ?? false,
        ...(raftTiming === undefined ? {} : { timing: raftTiming }),
        ...(snapshotEvery === undefined ? {} : { snapshotEvery }),
      },
      machine,
      { clock, logger, nextTurn },
    );
    return await started.catch((error: unknown) => {
      throw errorCode(error) === 'data-loss' ? withWayBack(error, options.nodeId) : error;
    });
  };
}

/** Its containers and its place in the cluster do not depend on the log, only its being a manager. */
function withWayBack(cause: unknown, nodeId: NodeId): SwarmError {
  const why =
    `${errorMessage(cause)}: on another manager, swarmctl node demote ${nodeId}, ` +
    `then swarmctl node promote ${nodeId}`;
  return new SwarmError('data-loss', why, { cause });
}
