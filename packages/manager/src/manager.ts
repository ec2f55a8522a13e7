/**
 * Puts a manager together: Raft feeds the store, leader duties follow Raft's role, and the services
 * are served on the cluster port and on the local control socket.
 */
import { errorMessage, Scope, withDeadline } from '@swarmd/base';
import { asId, clusterSpec, type NodeId } from '@swarmd/model';
import type { RaftStatus } from '@swarmd/raft';

import { parseSpec } from './control/validate.ts';
import type { Core } from './core.ts';
import { SessionDispatcher } from './dispatcher/dispatcher.ts';
import { SessionReporter } from './dispatcher/session-reporter.ts';
import { openDuties, type Duties } from './leadership/duties.ts';
import type { InitialObjects } from './leadership/initial-objects.ts';
import { LeaderRoute } from './leadership/leader-route.ts';
import { Leadership } from './leadership/leadership.ts';
import { BOOTSTRAP_MS, HAND_OVER_MS } from './limits.ts';
import { Peers, type ManagerClients } from './net/peers.ts';
import type { ManagerIdentity, ManagerOptions } from './options.ts';
import { startReplication } from './replication/start-replication.ts';
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
    return await assemble(options, stack);
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

async function assemble(options: ManagerOptions, stack: AsyncDisposableStack): Promise<Manager> {
  const { logger, clusterId } = options;
  let { identity } = options;
  const initial = initialObjects(options);
  const peers = stack.use(new Peers({ tls: () => identity, clusterId }));
  const led: { leadership?: Leadership<Duties> } = {};
  const { store, raft } = await startReplication(options, {
    stack,
    decidingTerm: () => led.leadership?.decidingTerm,
  });
  const scope = stack.use(
    new Scope((name, error) => logger.error({ name, error: errorMessage(error) }, 'work failed')),
  );
  const leadership = stack.use(
    new Leadership<Duties>({
      ...options,
      raft,
      open: (duties, signal) => openDuties({ ...options, store, raft, initial }, duties, signal),
    }),
  );
  led.leadership = leadership;
  const clientsOf = (nodeId: NodeId): ManagerClients | undefined => {
    const address = store.view.get('node', nodeId)?.manager?.apiAddress;
    return address === undefined ? undefined : peers.manager(address);
  };
  const route = stack.use(new LeaderRoute({ raft, leadership, clock: options.clock, clientsOf }));
  const dispatcher = stack.use(new SessionDispatcher({ ...options, store, raft, route }));
  const core: Core = {
    options,
    store,
    raft,
    peers,
    leadership,
    route,
    dispatcher,
    scope,
    identity: () => identity,
  };
  reportSessions(core);
  stack.use(raft.onStatus(() => membersChanged(core)));
  const { controlSocket, cluster } = await serve(core, stack);
  stack.defer(() => handOver(core));
  if (options.start === 'bootstrap') await clusterMade(core);
  return {
    controlSocket,
    failed: raft.failed,
    status: () => raft.status(),
    setIdentity: (next) => {
      identity = next;
      raft.setTls(next);
      cluster.refreshTls();
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

function firstOf<T>(items: Iterable<T>): T | undefined {
  for (const item of items) return item;
  return undefined;
}

function initialObjects(options: ManagerOptions): InitialObjects {
  const { clock, clusterId, nodeId, raftId, advertise, bootstrap } = options;
  const self = { nodeId, raftId, apiAddress: advertise.api, raftAddress: advertise.raft };
  if (bootstrap === undefined) return { clock, clusterId, self };
  const spec = parseSpec('cluster', clusterSpec, bootstrap.clusterSpec);
  return { clock, clusterId, self, bootstrap: { ...bootstrap, clusterSpec: spec } };
}

function reportSessions(core: Core): void {
  const { options, store, dispatcher, leadership, route } = core;
  const reporter = new SessionReporter({
    dispatcher,
    clock: options.clock,
    logger: options.logger,
    heartbeatPeriodMs: () => firstOf(store.view.list('cluster'))?.spec.heartbeatPeriodMs,
    onLeaderChange: (listener) => leadership.onChange(listener),
    report: (request, signal) =>
      route.report(signal, {
        here: (duties, until) => duties.liveness.report(request.live, options.nodeId, until),
        there: (manager, call) => manager.leader.reportSessions(request, call),
      }),
  });
  core.scope.spawn('session reports', (signal) => reporter.run(signal));
}

function membersChanged({ dispatcher, peers, store, raft }: Core): void {
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
