/**
 * swarm.v1.Dispatcher on this manager: the sessions of the agents connected here, served from the
 * local replica. A node has at most one session here; a newer one ends the older.
 */
import type {
  AgentMessage,
  AppliedNetwork,
  Call,
  Dispatcher,
  ManagerAddress,
  ManagerMessage,
  StatusReport,
  TaskUsage,
} from '@swarmd/api';
import {
  abortReason,
  SwarmError,
  type Clock,
  type Ids,
  type Logger,
  type NextTurn,
  type Random,
  type Timer,
} from '@swarmd/base';
import type { NodeId, Service } from '@swarmd/model';
import { assign, followTasks } from '@swarmd/planner';
import type { Raft, RaftTiming } from '@swarmd/raft';
import type { Commit, ReadView, Store } from '@swarmd/store';

import { theCluster } from '../replication/the-cluster.ts';
import type { LeaderRoute } from '../leadership/leader-route.ts';
import { beyondElections } from '../leadership/patience.ts';
import { takeStatuses } from '../leadership/task-statuses.ts';
import { InterestIndex } from './interest-index.ts';
import { audienceOf, interestsOf } from './interests.ts';
import { measuresOf } from './measures.ts';
import { SharedBarrier } from '../replication/shared-barrier.ts';
import {
  ADDRESSES_GATHER_MS,
  LEADERLESS_SESSION_MS,
  UP_TO_DATE_WAIT_MS,
  OVERDUE_HEARTBEATS,
} from '../limits.ts';
import { Herald } from './herald.ts';
import { KeepUp } from './keep-up.ts';
import { Outbox } from './outbox.ts';
import { receiveHello, Session, type Hello } from './session.ts';
import { SessionStream, type Begun } from './session-stream.ts';
import { StatusHub } from './status-hub.ts';
import { StatusRelay } from './status-relay.ts';
import { sameValue } from '../same-value.ts';
import { UsageReporter } from './usage-reporter.ts';

export interface DispatcherOptions {
  readonly store: Store;
  readonly raft: Raft;
  readonly route: LeaderRoute;
  readonly clock: Clock;
  readonly random: Random;
  readonly ids: Ids;
  readonly logger: Logger;
  readonly raftTiming?: RaftTiming | undefined;
  /** At once unless given. */
  readonly nextTurn?: NextTurn | undefined;
}

export class SessionDispatcher implements Dispatcher, AsyncDisposable {
  readonly #options: DispatcherOptions;
  readonly #sessions = new Map<NodeId, Session>();
  /** Sessions whose interests are not known: nothing was computed for them yet. */
  readonly #unsure = new Set<Session>();
  readonly #interests = new InterestIndex<Session>();
  readonly #lost = new Set<NodeId>();
  readonly #listeners = new Set<() => void>();
  readonly #appliedListeners = new Set<(nodeId: NodeId) => void>();
  readonly #subscription: Disposable;
  readonly #usage: UsageReporter;
  readonly #barrier: SharedBarrier;
  readonly #herald: Herald<Session>;
  /** Sessions that may begin: thousands may come at the same moment. */
  readonly #admission: Herald<() => void>;
  readonly #statuses: StatusHub;
  readonly #keepUp: KeepUp;
  readonly #ended = new AbortController();
  #addressNews: Timer | undefined;
  /** When sessions were looked at last, and until when none is ended for its silence; monotonic. */
  #lookedAt = Number.NEGATIVE_INFINITY;
  #patientUntil = Number.NEGATIVE_INFINITY;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#usage = new UsageReporter({
      ...options,
      report: (tasks, signal) =>
        options.route.report(signal, {
          here: (duties) => Promise.resolve(duties.autoscale.report(tasks)),
          there: (manager, call) => manager.leader.reportUsage({ tasks }, call),
        }),
    });
    const { clock, nextTurn = queueMicrotask } = options;
    this.#herald = new Herald({ nextTurn, clock, tell: ({ outbox }) => outbox.prepare() });
    this.#admission = new Herald({ nextTurn, clock, tell: (admit) => admit() });
    this.#keepUp = new KeepUp({ nextTurn, follow: () => followTasks(options.store.view) });
    this.#statuses = new StatusHub({
      nextTurn,
      deliver: (reports) => this.#reportStatuses(reports),
    });
    this.#barrier = new SharedBarrier({ ...options, timeoutMs: UP_TO_DATE_WAIT_MS });
    this.#subscription = options.store.subscribe((commit) => this.#onCommit(commit));
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#subscription[Symbol.dispose]();
    this.#addressNews?.cancel();
    const stopping = new SwarmError('unavailable', 'this manager is stopping');
    this.#ended.abort(stopping);
    for (const session of this.#sessions.values()) session.end(stopping);
    return Promise.resolve();
  }

  session(messages: AsyncIterable<AgentMessage>, call: Call): AsyncIterable<ManagerMessage> {
    return new SessionStream(() => this.#begin(messages, call));
  }

  async #begin(messages: AsyncIterable<AgentMessage>, { peer, signal }: Call): Promise<Begun> {
    if (peer === undefined) {
      throw new SwarmError('unauthenticated', 'a session needs a node certificate of this cluster');
    }
    await this.#upToDate(peer.nodeId, signal);
    const incoming = messages[Symbol.asyncIterator]();
    const hello = await receiveHello(incoming, { clock: this.#options.clock, signal });
    const session = this.#open(peer.nodeId, hello);
    const running = session.begin(incoming, {
      signal,
      onNews: () => this.#notify(),
      onApplied: () => this.#tellApplied(session.nodeId),
      onUsage: (tasks) => this.#usage.add(tasksOf(session, tasks, this.#options.store.view)),
      onGoodbye: (until) => this.#reportAway(session.nodeId, until),
    });
    return {
      session,
      [Symbol.dispose]: () => {
        this.#close(session);
        running[Symbol.dispose]();
      },
    };
  }

  /** Tells the leader what the tasks of the nodes here use. */
  reportUsage(signal: AbortSignal): Promise<void> {
    return this.#usage.run(signal);
  }

  /** Called when a session began or ended, or its description changed. */
  onChange(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Called when the network of a node here may have come further. */
  onApplied(listener: (nodeId: NodeId) => void): Disposable {
    this.#appliedListeners.add(listener);
    return { [Symbol.dispose]: () => void this.#appliedListeners.delete(listener) };
  }

  /** How far the networks of the nodes here have come; of all unless some are named. */
  *applied(ids: Iterable<NodeId> = this.#sessions.keys()): Iterable<AppliedNetwork> {
    for (const nodeId of ids) {
      const session = this.#sessions.get(nodeId);
      if (session !== undefined) yield { nodeId, version: session.outbox.applied };
    }
  }

  /**
   * Sessions that said something the leader was not told of; all of them, when this process stood still
   * itself: what they said meanwhile is still to be read. Ends those silent for too long. To be called twice a
   * heartbeat period.
   */
  heardSessions(): Session[] {
    const { route, raftTiming } = this.#options;
    const patienceMs = beyondElections(LEADERLESS_SESSION_MS, raftTiming);
    if (route.contact.leaderlessMs > patienceMs) this.#endAll(cutOff());
    const { heartbeatPeriodMs } = theCluster(this.#options.store.view).spec;
    const overdueMs = heartbeatPeriodMs * OVERDUE_HEARTBEATS;
    const now = this.#options.clock.monotonic();
    const stoodStill = now - this.#lookedAt > heartbeatPeriodMs;
    if (stoodStill) this.#patientUntil = now + overdueMs;
    this.#lookedAt = now;
    const heard: Session[] = [];
    for (const session of this.#sessions.values()) {
      const silentMs = now - session.heardAt;
      if (session.isLeaving) continue;
      if (session.heardAt > session.toldAt || stoodStill) heard.push(session);
      else if (silentMs > overdueMs && now >= this.#patientUntil) session.end(overdue(silentMs));
    }
    return heard;
  }

  #endAll(reason: SwarmError): void {
    for (const session of this.#sessions.values()) session.end(reason);
  }

  /** Nodes whose session ended and that have no other one here, until the leader was told. */
  get lost(): readonly NodeId[] {
    return [...this.#lost];
  }

  toldLost(ids: readonly NodeId[]): void {
    for (const id of ids) this.#lost.delete(id);
  }

  #open(nodeId: NodeId, hello: Hello): Session {
    const { clock, random, logger, store, ids } = this.#options;
    const { heartbeatPeriodMs } = theCluster(store.view).spec;
    const outbox = new Outbox(
      { kind: 'welcome', sessionId: ids.next(), heartbeatPeriodMs },
      {
        assigned: () => {
          if (store.view.get('node', nodeId) === undefined) return undefined;
          const assigned = assign(store.view, nodeId);
          if (this.#sessions.get(nodeId) === session) {
            this.#interests.put(session, interestsOf(nodeId, assigned));
          }
          this.#unsure.delete(session);
          return assigned;
        },
        managers: () => this.managers(),
        measures: () => measuresOf(store.view, nodeId),
        role: () => store.view.get('node', nodeId)?.spec.role,
        version: () => store.view.version,
        unchanged: () => this.#tellApplied(nodeId),
        again: () => this.#herald.add(session),
      },
    );
    const relay = new StatusRelay({
      clock,
      random,
      logger: logger.child({ nodeId }),
      report: (updates) => this.#statuses.report({ nodeId, updates }),
      settled: (sequence) => {
        outbox.acknowledge(sequence);
        this.#herald.add(session);
      },
    });
    const session = new Session({ nodeId, clock, hello, outbox, relay });
    this.#sessions
      .get(nodeId)
      ?.end(new SwarmError('cancelled', 'a newer session replaces this one'));
    this.#sessions.set(nodeId, session);
    this.#interests.delete(nodeId);
    this.#unsure.add(session);
    this.#herald.add(session);
    this.#lost.delete(nodeId);
    logger.info({ nodeId, address: hello.address }, 'session begins');
    this.#notify();
    return session;
  }

  #reportStatuses(reports: readonly StatusReport[]): Promise<void> {
    const { signal } = this.#ended;
    const { route, store, clock } = this.#options;
    return route.report(signal, {
      here: ({ services }, until) =>
        takeStatuses({ store, clock, barrier: this.#barrier, services }, reports, until),
      there: (manager, call) => manager.leader.reportStatuses({ reports }, call),
    });
  }

  #reportAway(nodeId: NodeId, signal: AbortSignal): Promise<void> {
    const away = [nodeId];
    return this.#options.route.report(signal, {
      here: (duties, until) => duties.liveness.goodbye(away, until),
      there: (manager, call) => manager.leader.reportSessions({ live: [], lost: [], away }, call),
    });
  }

  #close(session: Session): void {
    const { nodeId } = session;
    this.#unsure.delete(session);
    this.#herald.forget(session);
    if (this.#sessions.get(nodeId) !== session) return;
    this.#sessions.delete(nodeId);
    this.#interests.delete(nodeId);
    if (!session.isLeaving) this.#lost.add(nodeId);
    this.#options.logger.info({ nodeId }, 'session ends');
    this.#notify();
  }

  #tellApplied(nodeId: NodeId): void {
    for (const listener of this.#appliedListeners) listener(nodeId);
  }

  #notify(): void {
    for (const listener of this.#listeners) listener();
  }

  /** Where agents may connect to: every member of Raft whose address is known. */
  managers(): ManagerAddress[] {
    const { raft, store } = this.#options;
    const managers: ManagerAddress[] = [];
    for (const { nodeId } of raft.status().members) {
      const node = store.view.get('node', nodeId as NodeId);
      if (node?.manager === undefined) continue;
      managers.push({ nodeId: node.id, address: node.manager.apiAddress });
    }
    return managers.sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1));
  }

  /** Called after every change of Raft's members, or of where managers are. */
  membersChanged(): void {
    for (const session of this.#sessions.values()) session.outbox.managersChanged();
  }

  #onCommit(commit: Commit): void {
    let managersMayDiffer = false;
    for (const { table, before, after } of commit.changes) {
      if (table === 'service') this.#measureAnew(before, after);
      if (table !== 'node') continue;
      if (after === undefined) this.#sessions.get(before?.id as NodeId)?.end(removed());
      else if (before?.spec.role !== after.spec.role)
        this.#sessions.get(after.id)?.outbox.nodeChanged();
      managersMayDiffer ||= before?.manager !== after?.manager;
    }
    if (managersMayDiffer) this.membersChanged();
    this.#keepUp.note(commit.changes.length);
    const audience = audienceOf(commit, this.#options.store.view);
    for (const session of this.#unsure) this.#announce(session);
    for (const session of this.#interests.concerned(audience)) this.#announce(session);
    for (const [told, now] of audience.progress) {
      this.#sessions.get(now.nodeId as NodeId)?.outbox.progressed(told, now);
    }
    if (audience.addresses) this.#tellAddresses();
  }

  /** A node that has not been told yet must not count as one that needs to be told nothing. */
  #announce(session: Session): void {
    session.outbox.assignmentsChanged();
    this.#herald.add(session);
  }

  /** Everybody, but not now. */
  #tellAddresses(): void {
    this.#addressNews ??= this.#options.clock.after(ADDRESSES_GATHER_MS, () => {
      this.#addressNews = undefined;
      for (const session of this.#sessions.values()) this.#announce(session);
    });
  }

  /** Nothing else tells the nodes of its tasks that a service is autoscaled by now, or is no more. */
  #measureAnew(before: Service | undefined, after: Service | undefined): void {
    if (after === undefined || before === undefined) return;
    if (sameValue(before.spec.autoscale, after.spec.autoscale)) return;
    for (const { nodeId } of this.#options.store.view.tasksByService(after.id)) {
      const session = nodeId === undefined ? undefined : this.#sessions.get(nodeId);
      if (session === undefined) continue;
      session.outbox.measuresChanged();
      this.#herald.add(session);
    }
  }

  /**
   * A session begins with a complete assignment, and the agent removes what is not in it: a replica
   * that lags (a manager that has just started) would end tasks that are wanted.
   */
  async #upToDate(nodeId: NodeId, signal: AbortSignal): Promise<void> {
    const { store } = this.#options;
    // It has a deadline of its own: thousands who wait for it need no timer each.
    await this.#barrier.wait();
    await new Promise<void>((admit) => this.#admission.add(admit));
    if (signal.aborted) throw abortReason(signal);
    if (store.view.get('node', nodeId) === undefined) throw removed();
  }
}

/** A node tells of its own tasks only. */
function tasksOf(
  { nodeId }: Session,
  tasks: readonly TaskUsage[],
  view: ReadView,
): readonly TaskUsage[] {
  return tasks.filter(({ taskId }) => view.get('task', taskId)?.nodeId === nodeId);
}

function removed(): SwarmError {
  return new SwarmError(
    'permission-denied',
    'this node is not in the cluster any more: it was removed; leave and join again with a token',
  );
}

function cutOff(): SwarmError {
  return new SwarmError('unavailable', 'this manager has lost the others; go to one of them');
}

function overdue(silentMs: number): SwarmError {
  return new SwarmError(
    'deadline-exceeded',
    `no heartbeat came for ${Math.round(silentMs)} ms; connect again`,
  );
}
