/**
 * Puts a manager together: Raft feeds the store, leader duties follow Raft's role, and the services
 * are served on the cluster port and on the local control socket.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import {
  createClusterServer,
  createLocalServer,
  serveCa,
  serveControl,
  serveDispatcher,
  serveHealth,
  serveLeader,
  serveLogs,
  serveMembership,
  serveReflection,
  serveWatch,
  type ApiServer,
  type ClusterServer,
  type Health,
  type ServerTls,
} from '@swarmd/api';
import { errorMessage, Scope, withDeadline } from '@swarmd/base';
import { asId, clusterSpec, type NodeId } from '@swarmd/model';
import { startRaft, type Raft, type RaftStatus } from '@swarmd/raft';
import { createStore, type Store } from '@swarmd/store';

import { createControl } from './control/control.ts';
import { parseSpec } from './control/validate.ts';
import { SessionDispatcher } from './dispatcher/dispatcher.ts';
import { SessionReporter } from './dispatcher/session-reporter.ts';
import { createCa } from './identity/ca.ts';
import { openDuties, type Duties } from './leadership/duties.ts';
import type { InitialObjects } from './leadership/initial-objects.ts';
import { LeaderRoute } from './leadership/leader-route.ts';
import { createLeaderService } from './leadership/leader-service.ts';
import { Leadership } from './leadership/leadership.ts';
import { BOOTSTRAP_MS, HAND_OVER_MS } from './limits.ts';
import { createMembership } from './membership/membership.ts';
import { forKnownManagers } from './net/known-managers.ts';
import { Peers, type ManagerClients } from './net/peers.ts';
import { createLogs } from './observe/logs.ts';
import { createWatch } from './observe/watch.ts';
import type { ManagerIdentity, ManagerOptions } from './options.ts';
import { leadsNoMore, Replication } from './replication/replication.ts';
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

/** The parts that others are built on. */
interface Core {
  readonly options: ManagerOptions;
  readonly store: Store;
  readonly raft: Raft;
  readonly peers: Peers;
  readonly leadership: Leadership<Duties>;
  readonly route: LeaderRoute;
  readonly dispatcher: SessionDispatcher;
  readonly scope: Scope;
  readonly identity: () => ManagerIdentity;
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

async function startReplication(
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

/** The cluster port opens last: what comes in finds everything in place. */
async function serve(
  core: Core,
  stack: AsyncDisposableStack,
): Promise<{ controlSocket: string; cluster: ClusterServer }> {
  const { options, store, raft, route, leadership, dispatcher, peers } = core;
  const { clock, logger, clusterId } = options;
  const control = createControl({ ...options, store, raft, route });
  const watch = createWatch(store);
  const logs = createLogs({ ...options, store, agentAt: (address) => peers.agent(address) });
  const membership = createMembership({ ...options, store, raft, route });
  const addShared = (server: ApiServer): void => {
    serveControl(server, forKnownManagers(control, store.view));
    serveWatch(server, forKnownManagers(watch, store.view));
    serveLogs(server, forKnownManagers(logs, store.view));
    serveMembership(server, membership);
    serveReflection(server);
  };
  await mkdir(options.runDir, { recursive: true, mode: 0o700 });
  const controlSocket = join(options.runDir, 'control.sock');
  const local = stack.use(await createLocalServer({ path: controlSocket, logger }));
  addShared(local);
  followHealth(core, serveHealth(local), stack);
  const tls = (): ServerTls => ({ ...core.identity(), clusterId });
  const cluster = stack.use(await createClusterServer({ ...options.listen, tls, logger }));
  addShared(cluster);
  serveDispatcher(cluster, dispatcher);
  const reports = createLeaderService({ leadership, store, clock });
  serveLeader(cluster, forKnownManagers(reports, store.view));
  serveCa(cluster, createCa({ ...options, store, route }));
  followHealth(core, serveHealth(cluster), stack);
  return { controlSocket, cluster };
}

/** A manager can be used while it knows a leader to bring requests to. */
function followHealth({ raft }: Core, health: Health, stack: AsyncDisposableStack): void {
  const tell = ({ leader }: Pick<RaftStatus, 'leader'>): void => {
    const status = leader === 0 ? 'not-serving' : 'serving';
    health.set('', status);
    health.set('swarm.v1.Control', status);
  };
  tell(raft.status());
  stack.use(raft.onStatus(tell));
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
