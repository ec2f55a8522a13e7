/**
 * The agent of one node: session with the managers, tasks, network. Everything it needs of the
 * outside comes through `AgentOptions`; disposing it leaves the containers running.
 */
import { errorMessage, Scope, type Clock, type Logger, type Random } from '@swarmd/base';
import { applyDelta, type AgentService, type Engine } from '@swarmd/api';
import type { AssignmentSet, NodeId, NodeRole, GenericResource } from '@swarmd/model';

import { describeNode } from './describe.ts';
import { AgentState } from './disk/agent-state.ts';
import { engineService } from './engine-service.ts';
import { KnownManagers } from './known-managers.ts';
import { logService } from './log-service.ts';
import { GOODBYE_MAX_MS } from './limits.ts';
import { Meter } from './meter/meter.ts';
import { NetworkLoop } from './network-loop.ts';
import type { Executor, NetworkPlane } from './ports.ts';
import { runSessions, type ManagerConnection, type SessionDeps } from './session.ts';
import { StatusReporter } from './status-reporter.ts';
import { Worker } from './worker.ts';

export interface AgentOptions {
  readonly nodeId: NodeId;
  readonly stateDir: string;
  readonly runDir: string;
  readonly executor: Executor;
  readonly plane: NetworkPlane;
  /** Underlay address other nodes reach this one at. */
  readonly address: string;
  /** For the traffic between containers, where that is another. */
  readonly dataPathAddress?: string;
  /** host:port of the listener that serves `Agent.service`. */
  readonly agentAddress: string;
  readonly engineVersion: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly genericResources: readonly GenericResource[];
  /** Managers to try besides those remembered from earlier sessions, host:port. */
  readonly managers: readonly string[];
  readonly connect: (address: string) => ManagerConnection;
  /** Told at the beginning of every session, and when it changes: what the managers want it to be. */
  readonly onRole: (role: NodeRole) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

export interface Agent extends AsyncDisposable {
  /** Both to be served over mutual TLS; they answer only the managers that the node was told of. */
  readonly service: AgentService;
  readonly engine: Engine;
  /** Managers it knows, host:port. */
  managers(): readonly string[];
  /**
   * Tells the managers that this node restarts on purpose and will be back; it takes no more part in
   * the cluster then. Resolves when they know, or after a second.
   */
  goodbye(): Promise<void>;
  /** Ends every container of this node and forgets the assignment: the node leaves its cluster. */
  drain(signal: AbortSignal): Promise<void>;
}

/** Resolves once everything from an earlier life is adopted; sessions go on in the background. */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  const { clock, random, logger, executor, plane } = options;
  const ports = { clock, random, logger };
  await using starting = new AsyncDisposableStack();
  const scope = starting.use(
    new Scope((name, error) => logger.error({ name, error: errorMessage(error) }, 'agent failed')),
  );
  const state = new AgentState(options, logger);
  const reporter = new StatusReporter();
  const network = scope.own(new NetworkLoop({ plane, ...ports }));
  const worker = scope.own(
    new Worker({
      executor,
      plane,
      state,
      reporter,
      networks: network,
      describe: () => describeNode(options),
      ...ports,
    }),
  );
  const meter = scope.own(meterOf(options, worker));
  network.set((await state.loadAssignment()).network, 0);
  await worker.restore(scope.signal);
  const managers = new KnownManagers(options.managers, await state.loadManagers());
  let assignment = worker.assignment;
  const change = (next: AssignmentSet, version: number): void => {
    assignment = next;
    network.set(next.network, version);
    scope.spawn('assign', () => worker.assign(next));
  };
  const leaving = new AbortController();
  const sessions = Promise.withResolvers<void>();
  scope.spawn('session', (signal) =>
    runSessions(
      {
        connect: options.connect,
        managers: () => managers.addresses,
        hello: () => helloOf(options),
        reporter,
        leaving: leaving.signal,
        onRole: options.onRole,
        onManagers: (told) => {
          managers.learn(told);
          scope.spawn('save-managers', () => state.saveManagers(told));
        },
        onAssignments: (delta, version) => change(applyDelta(assignment, delta), version),
        onApplied: (listener) => network.onApplied(listener),
        onDescriptionChange: (listener) => plane.onEncryptionChange(listener),
        onMeasures: (tasks) => meter.measure(tasks),
        onUsage: (listener) => meter.onUsage(listener),
        ...ports,
      },
      signal,
    ).finally(() => sessions.resolve()),
  );
  const owned = starting.move();
  return {
    service: managers.only(logsOf(options, worker)),
    engine: managers.only(engineOf(options, worker)),
    managers: () => managers.addresses,
    goodbye: async () => {
      leaving.abort();
      await orAfter(clock, GOODBYE_MAX_MS, sessions.promise);
    },
    drain: (signal) => worker.drain(signal),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function meterOf({ executor, clock, logger }: AgentOptions, worker: Worker): Meter {
  return new Meter({
    stats: (id) => executor.workbench.stats(id),
    addressOf: (id) => worker.runner(id)?.life.task.gatewayAddress,
    clock,
    logger,
  });
}

function engineOf({ executor, plane, clock }: AgentOptions, worker: Worker): Engine {
  return engineService({ executor, plane, clock, runner: (id) => worker.runner(id) });
}

function logsOf({ nodeId, executor }: AgentOptions, worker: Worker): AgentService {
  return logService({
    nodeId,
    executor,
    task: (id) => {
      const runner = worker.runner(id);
      if (runner === undefined) return undefined;
      return { task: runner.life.task, container: (signal) => runner.container(signal) };
    },
  });
}

function helloOf(options: AgentOptions): ReturnType<SessionDeps['hello']> {
  const { address, agentAddress } = options;
  return { kind: 'hello', description: describeNode(options), address, agentAddress };
}

async function orAfter(clock: Clock, ms: number, work: Promise<void>): Promise<void> {
  const late = Promise.withResolvers<void>();
  const timer = clock.after(ms, () => late.resolve());
  await Promise.race([work, late.promise]);
  timer.cancel();
}
