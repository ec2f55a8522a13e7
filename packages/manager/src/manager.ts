/**
 * Puts a manager together: Raft feeds the store, leader duties follow Raft's role, and the services
 * are served on the cluster port and on the local control socket.
 */
import { errorMessage, withDeadline } from '@swarmd/base';
import { systemTurns } from '@swarmd/base/system';
import { asId } from '@swarmd/model';
import type { RaftStatus } from '@swarmd/raft';

import { assembleCore, type Core } from './core.ts';
import { BOOTSTRAP_MS, HAND_OVER_MS, TURN_MS } from './limits.ts';
import { Peers } from './net/peers.ts';
import { tellOwnAddress } from './membership/own-address.ts';
import { refuseRemoved } from './membership/refuse-removed.ts';
import type { ManagerIdentity, ManagerOptions } from './options.ts';
import { raftOnDisk } from './replication/start-replication.ts';
import { serve } from './serve.ts';
import { Wakeup } from './wakeup.ts';

export interface Manager extends AsyncDisposable {
  /** Path of the control API's socket. */
  readonly controlSocket: string;
  /** Rejects when this manager has stopped itself (damaged disk, removal from the managers). */
  readonly failed: Promise<never>;
  status(): RaftStatus;
  /** A renewed certificate, used for new connections from now on. */
  setIdentity(identity: ManagerIdentity): void;
}

/** Everything that was started is stopped again when starting fails half-way. */
export async function startManager(options: ManagerOptions): Promise<Manager> {
  const stack = new AsyncDisposableStack();
  try {
    return (await assembleManager(options, stack)).manager;
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

/** A manager with its parts, which belong to `stack`. */
export async function assembleManager(
  options: ManagerOptions,
  stack: AsyncDisposableStack,
): Promise<{ manager: Manager; core: Core }> {
  const { clusterId } = options;
  let { identity } = options;
  const peers = stack.use(new Peers({ tls: () => identity, clusterId }));
  const nextTurn = systemTurns(TURN_MS);
  const outside = {
    startRaft: raftOnDisk(options, nextTurn),
    // After the sockets were read: under load each entry then carries many requests.
    gather: nextTurn,
    nextTurn,
    managerAt: (address: string) => peers.manager(address),
  };
  const core = await assembleCore(options, outside, stack);
  const { raft } = core;
  stack.use(raft.onStatus(() => membersChanged(core, peers)));
  stack.use(refuseRemoved(core.store, raft));
  const served = await serve(core, { peers, identity: () => identity, stack });
  stack.defer(() => handOver(core));
  core.scope.spawn('own address', (signal) => tellOwnAddress(core, outside.managerAt, signal));
  if (options.start === 'bootstrap') await clusterMade(core);
  const manager: Manager = {
    controlSocket: served.controlSocket,
    failed: raft.failed,
    status: () => raft.status(),
    setIdentity: (next) => {
      identity = next;
      raft.setTls(next);
      served.cluster.refreshTls();
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
  return { manager, core };
}

function membersChanged({ dispatcher, store, raft }: Core, peers: Peers): void {
  dispatcher.membersChanged();
  const addresses = raft
    .status()
    .members.map((member) => store.view.get('node', asId('node', member.nodeId))?.manager)
    .map((manager) => manager?.apiAddress ?? '');
  peers.retainManagers(new Set(addresses));
}

/** Who makes a cluster is told when its first objects are there. */
async function clusterMade({ leadership, options: { clock } }: Core): Promise<void> {
  const wakeup = new Wakeup();
  using _changes = leadership.onChange(() => wakeup.wake());
  await withDeadline(
    { clock, timeoutMs: BOOTSTRAP_MS, what: 'making the cluster' },
    async (signal) => {
      while (leadership.reign === undefined) await wakeup.wait(signal);
    },
  );
}

async function handOver({ raft, options, leadership }: Core): Promise<void> {
  const status = raft.status();
  const others = status.members.filter(
    (member) => member.role === 'voter' && member.raftId !== status.raftId,
  );
  if (leadership.reign === undefined || others.length === 0) return;
  const { clock, logger } = options;
  try {
    await withDeadline(
      { clock, timeoutMs: HAND_OVER_MS, what: 'handing leadership over' },
      (signal) => raft.transferLeadership(undefined, signal),
    );
  } catch (error) {
    logger.warn({ error: errorMessage(error) }, 'stopping without handing leadership over');
  }
}
