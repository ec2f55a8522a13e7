/** The parts of a manager that its other parts are built on, and how they hang together. */
import { errorMessage, Scope, type NextTurn } from '@swarmd/base';
import { clusterSpec, type NodeId } from '@swarmd/model';
import type { Raft } from '@swarmd/raft';
import type { Gather, Store } from '@swarmd/store';

import { parseSpec } from './control/validate.ts';
import { SessionDispatcher } from './dispatcher/dispatcher.ts';
import { ReleaseReporter } from './dispatcher/release-reporter.ts';
import { SessionReporter } from './dispatcher/session-reporter.ts';
import { openDuties, type Duties } from './leadership/duties.ts';
import type { InitialObjects } from './leadership/initial-objects.ts';
import { LeaderRoute } from './leadership/leader-route.ts';
import { Leadership } from './leadership/leadership.ts';
import type { ManagerClients } from './net/peers.ts';
import type { ManagerOptions } from './options.ts';
import { startReplication, type RaftStarter } from './replication/start-replication.ts';

export interface Core {
  readonly options: ManagerOptions;
  readonly store: Store;
  readonly raft: Raft;
  readonly leadership: Leadership<Duties>;
  readonly route: LeaderRoute;
  readonly dispatcher: SessionDispatcher;
  readonly scope: Scope;
}

/** What a manager reaches others through. A simulation has its own. */
export interface Outside {
  readonly startRaft: RaftStarter;
  /** When transactions that wait are looked at: by default at once. */
  readonly gather?: Gather;
  /** The queue of what is put off to a later turn of the event loop; at once unless given. */
  readonly nextTurn?: NextTurn;
  readonly managerAt: (address: string) => ManagerClients;
}

/** Everything of a manager but its servers. What it starts belongs to `stack`. */
export async function assembleCore(
  options: ManagerOptions,
  outside: Outside,
  stack: AsyncDisposableStack,
): Promise<Core> {
  const { logger } = options;
  const initial = initialObjects(options);
  const led: { leadership?: Leadership<Duties>; route?: LeaderRoute } = {};
  const { store, raft } = await startReplication({
    clock: options.clock,
    stack,
    start: outside.startRaft,
    decidingTerm: () => led.leadership?.decidingTerm,
    gather: outside.gather,
  });
  const scope = stack.use(
    new Scope((name, error) => logger.error({ name, error: errorMessage(error) }, 'work failed')),
  );
  const leadership = stack.use(
    new Leadership<Duties>({
      ...options,
      raft,
      open: (duties, signal) => {
        const leaderlessMs = led.route?.contact.lastGapMs ?? 0;
        return openDuties({ ...options, store, raft, initial, leaderlessMs }, duties, signal);
      },
    }),
  );
  led.leadership = leadership;
  const clientsOf = (nodeId: NodeId): ManagerClients | undefined => {
    const address = store.view.get('node', nodeId)?.manager?.apiAddress;
    return address === undefined ? undefined : outside.managerAt(address);
  };
  const route = stack.use(new LeaderRoute({ ...options, raft, leadership, clientsOf }));
  led.route = route;
  const dispatcher = stack.use(
    new SessionDispatcher({ ...options, store, raft, route, nextTurn: outside.nextTurn }),
  );
  const core: Core = { options, store, raft, leadership, route, dispatcher, scope };
  reportSessions(core, outside.nextTurn);
  reportApplied(core);
  scope.spawn('use of tasks', (signal) => dispatcher.reportUsage(signal));
  return core;
}

function initialObjects(options: ManagerOptions): InitialObjects {
  const { clock, clusterId, nodeId, raftId, advertise, bootstrap } = options;
  const self = { nodeId, raftId, apiAddress: advertise.api, raftAddress: advertise.raft };
  if (bootstrap === undefined) return { clock, clusterId, self };
  const spec = parseSpec('cluster', clusterSpec, bootstrap.clusterSpec);
  return { clock, clusterId, self, bootstrap: { ...bootstrap, clusterSpec: spec } };
}

function firstOf<T>(items: Iterable<T>): T | undefined {
  for (const item of items) return item;
  return undefined;
}

function reportSessions(core: Core, nextTurn: NextTurn | undefined): void {
  const { options, store, dispatcher, leadership, route } = core;
  const reporter = new SessionReporter({
    dispatcher,
    clock: options.clock,
    logger: options.logger,
    nextTurn,
    heartbeatPeriodMs: () => firstOf(store.view.list('cluster'))?.spec.heartbeatPeriodMs,
    onLeaderChange: (listener) => leadership.onChange(listener),
    report: (request, signal) =>
      route.report(signal, {
        here: (duties, until) => duties.liveness.report(request.live, options.nodeId, until),
        there: (manager, call) => manager.leader.reportSessions({ ...request, away: [] }, call),
      }),
  });
  core.scope.spawn('session reports', (signal) => reporter.run(signal));
}

function reportApplied({ options, store, dispatcher, leadership, route, scope }: Core): void {
  const reporter = new ReleaseReporter({
    store,
    dispatcher,
    clock: options.clock,
    logger: options.logger,
    onLeaderChange: (listener) => leadership.onChange(listener),
    report: (nodes, signal) =>
      route.report(signal, {
        here: (duties) => Promise.resolve(duties.release.report(nodes)),
        there: (manager, call) => manager.leader.reportApplied({ nodes }, call),
      }),
  });
  scope.spawn('applied networks', (signal) => reporter.run(signal));
}
