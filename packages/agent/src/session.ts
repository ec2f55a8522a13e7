/**
 * The node's conversation with the managers: always with one of them, whichever answers. It
 * carries assignments in and statuses out; what they mean is for the worker and the reporter.
 */
import {
  Backoff,
  BoundedQueue,
  errorMessage,
  sleep,
  SwarmError,
  unreachable,
  type Clock,
  type Logger,
  type Random,
  type Timer,
} from '@swarmd/base';
import type {
  AgentMessage,
  AssignmentDelta,
  Dispatcher,
  ManagerAddress,
  ManagerMessage,
  TaskMeasure,
  TaskUsage,
} from '@swarmd/api';
import type { NodeRole } from '@swarmd/model';

import { LinkWatch } from './link-watch.ts';
import {
  DESCRIBE_PERIOD_MS,
  HEARTBEAT_DEFAULT_MS,
  LATE_ANSWERS_PER_PERIOD,
  OUTBOX_MAX,
  RECONNECT_FIRST_MS,
  RECONNECT_MAX_MS,
  SILENT_PERIODS_MAX,
  STATUS_COALESCE_MS,
  STATUS_RESEND_MS,
  WELCOME_TIMEOUT_MS,
} from './limits.ts';
import { orderToTry } from './manager-list.ts';
import type { StatusReporter } from './status-reporter.ts';

export interface ManagerConnection extends AsyncDisposable {
  readonly dispatcher: Dispatcher;
  /** Whether another connection to the manager can be made now; false when not within `timeoutMs`. */
  reaches(timeoutMs: number, signal: AbortSignal): Promise<boolean>;
}

export interface SessionDeps {
  /** Opens a connection to a manager's cluster API, host:port; must not wait for it. */
  readonly connect: (address: string) => ManagerConnection;
  /** Never empty on a node that is in a cluster. */
  readonly managers: () => readonly string[];
  readonly hello: () => Extract<AgentMessage, { kind: 'hello' }>;
  readonly reporter: StatusReporter;
  /** Aborts when this daemon restarts on purpose: the manager is told, and no other one is tried. */
  readonly leaving: AbortSignal;
  /** Never empty. */
  readonly onManagers: (managers: readonly ManagerAddress[]) => void;
  readonly onRole: (role: NodeRole) => void;
  /** In order; the first of a session is complete. */
  readonly onAssignments: (delta: AssignmentDelta, version: number) => void;
  /** What is to be measured, whenever that changes; nothing at the beginning of a session. */
  readonly onMeasures: (tasks: readonly TaskMeasure[]) => void;
  /** Calls with what was measured. */
  readonly onUsage: (listener: (tasks: readonly TaskUsage[]) => void) => Disposable;
  /** Calls with the version that the network of this node has come to. */
  readonly onApplied: (listener: (version: number) => void) => Disposable;
  /** Calls when the node is another than `hello` said, and others wait to hear of it. */
  readonly onDescriptionChange: (listener: () => void) => Disposable;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Holds a session with one manager after the other until `signal` aborts. */
export async function runSessions(deps: SessionDeps, signal: AbortSignal): Promise<void> {
  const { clock, random, logger } = deps;
  const backoff = new Backoff({ firstMs: RECONNECT_FIRST_MS, maxMs: RECONNECT_MAX_MS }, random);
  let last: string | undefined;
  const stopped = AbortSignal.any([signal, deps.leaving]);
  while (!stopped.aborted) {
    for (const address of orderToTry(deps.managers(), random, last)) {
      const session = new Session(deps, address);
      const reason = await session.run(signal);
      if (stopped.aborted) return;
      logger.warn({ manager: address, reason }, 'session with the manager ended');
      last = address;
      if (session.welcomed) {
        // Another manager takes over at once; with a single one the first pause is short.
        backoff.reset();
        if (deps.managers().some((other) => other !== address)) break;
      }
      await sleep(clock, backoff.nextMs(), stopped).catch(() => undefined); // The loop ends.
      if (session.welcomed || stopped.aborted) break;
    }
    if (deps.managers().length === 0) await sleep(clock, RECONNECT_MAX_MS, stopped);
  }
}

class Session {
  readonly #deps: SessionDeps;
  readonly #address: string;
  readonly #end = new AbortController();
  readonly #outbox = new BoundedQueue<AgentMessage>(OUTBOX_MAX);
  #periodMs = HEARTBEAT_DEFAULT_MS;
  #heardAt: number;
  #sentAt = 0;
  #areStatusesComing = false;
  #described = '';
  /** Managers that do not are watched by the connection's own keepalive only. */
  #answersHeartbeats = false;
  #timers = new Map<string, Timer>();
  #link: LinkWatch | undefined;
  welcomed = false;

  constructor(deps: SessionDeps, address: string) {
    this.#deps = deps;
    this.#address = address;
    this.#heardAt = deps.clock.monotonic();
  }

  /** Resolves with the reason it ended for. */
  async run(signal: AbortSignal): Promise<string> {
    const { clock, connect, reporter } = this.#deps;
    const both = AbortSignal.any([signal, this.#end.signal]);
    await using connection = connect(this.#address);
    using _due = reporter.onDue(() => this.#statusesSoon());
    const goodbye = (): void => this.#send({ kind: 'goodbye' });
    this.#deps.leaving.addEventListener('abort', goodbye, { once: true });
    using _applied = this.#deps.onApplied((version) => {
      if (this.welcomed) this.#send({ kind: 'applied', version });
    });
    using _usage = this.#deps.onUsage((tasks) => {
      if (this.welcomed) this.#send({ kind: 'usage', tasks });
    });
    using _description = this.#deps.onDescriptionChange(() => {
      if (this.welcomed) this.#describeAnew();
    });
    this.#deps.onMeasures([]);
    this.#timer('welcome', WELCOME_TIMEOUT_MS, () => this.#fail('it did not answer'));
    try {
      const incoming = connection.dispatcher.session(this.#messages(both), { signal: both });
      for await (const message of incoming) {
        this.#heardAt = clock.monotonic();
        this.#link?.heard();
        if (message.kind === 'welcome') this.#link = this.#watchOver(connection, both, message);
        this.#receive(message);
      }
      return 'the manager closed it';
    } catch (error) {
      return errorMessage(this.#end.signal.aborted ? this.#end.signal.reason : error);
    } finally {
      this.#deps.leaving.removeEventListener('abort', goodbye);
      for (const timer of this.#timers.values()) timer.cancel();
      this.#end.abort();
      this.#outbox.close();
    }
  }

  async *#messages(signal: AbortSignal): AsyncIterable<AgentMessage> {
    const hello = this.#deps.hello();
    this.#described = JSON.stringify(hello);
    yield hello;
    for (;;) {
      const message = await this.#outbox.take(signal);
      if (message === undefined) return;
      yield message;
    }
  }

  #receive(message: ManagerMessage): void {
    const { reporter, logger } = this.#deps;
    switch (message.kind) {
      case 'welcome':
        this.#timers.get('welcome')?.cancel();
        this.welcomed = true;
        this.#periodMs = message.heartbeatPeriodMs;
        logger.info({ manager: this.#address, session: message.sessionId }, 'session');
        reporter.sendAgain();
        this.#beat();
        this.#timer('describe', DESCRIBE_PERIOD_MS, () => this.#describeAnew());
        this.#sendStatuses();
        return;
      case 'managers':
        if (message.managers.length > 0) this.#deps.onManagers(message.managers);
        return;
      case 'node':
        this.#deps.onRole(message.role);
        return;
      case 'assignments':
        this.#deps.onAssignments(message.delta, message.version);
        return;
      case 'measures':
        this.#deps.onMeasures(message.tasks);
        return;
      case 'heartbeat':
        this.#answersHeartbeats = true;
        return;
      case 'status-ack':
        reporter.acknowledge(message.sequence);
        if (!reporter.unacknowledged) this.#timers.get('resend')?.cancel();
        return;
      default:
        unreachable(message);
    }
  }

  #beat(): void {
    const silentMs = this.#deps.clock.monotonic() - this.#heardAt;
    if (this.#answersHeartbeats && silentMs > SILENT_PERIODS_MAX * this.#periodMs) {
      this.#fail(`nothing was heard of it for ${Math.round(silentMs)} ms`);
      return;
    }
    const sentAt = this.#deps.clock.monotonic();
    this.#send({ kind: 'heartbeat' });
    this.#timer('beat', this.#periodMs, () => this.#beat());
    this.#timer('answer', this.#periodMs / LATE_ANSWERS_PER_PERIOD, () => {
      if (this.#answersHeartbeats && this.#heardAt < sentAt) this.#link?.silent();
    });
  }

  #watchOver(
    connection: ManagerConnection,
    signal: AbortSignal,
    { heartbeatPeriodMs }: { readonly heartbeatPeriodMs: number },
  ): LinkWatch {
    const { clock, logger } = this.#deps;
    return new LinkWatch({
      reaches: (timeoutMs, until) => connection.reaches(timeoutMs, until),
      everyMs: heartbeatPeriodMs / LATE_ANSWERS_PER_PERIOD,
      onReturn: () => this.#fail('the network to it was out, and is back'),
      clock,
      logger,
      signal,
    });
  }

  /** Drivers, networks and resources of a machine come and go: managers are told when they have. */
  #describeAnew(): void {
    const hello = this.#deps.hello();
    const text = JSON.stringify(hello);
    if (text !== this.#described) this.#send(hello);
    this.#described = text;
    this.#timer('describe', DESCRIBE_PERIOD_MS, () => this.#describeAnew());
  }

  /** The first status after a quiet time leaves at once, those that follow gather. */
  #statusesSoon(): void {
    if (!this.welcomed || this.#areStatusesComing) return;
    this.#areStatusesComing = true;
    const quietMs = this.#deps.clock.monotonic() - this.#sentAt;
    const waitMs = STATUS_COALESCE_MS - quietMs;
    if (waitMs > 0) this.#timer('statuses', waitMs, () => this.#sendStatuses());
    // What changes in the same turn goes with it. Even the shortest timer would take a millisecond.
    else queueMicrotask(() => this.#sendStatuses());
  }

  #sendStatuses(): void {
    this.#areStatusesComing = false;
    this.#sentAt = this.#deps.clock.monotonic();
    for (;;) {
      const batch = this.#deps.reporter.nextBatch();
      if (batch === undefined) return;
      this.#send({ kind: 'statuses', ...batch });
      this.#timer('resend', STATUS_RESEND_MS, () => {
        this.#deps.reporter.sendAgain();
        this.#sendStatuses();
      });
    }
  }

  #send(message: AgentMessage): void {
    if (!this.#outbox.offer(message)) this.#fail('it does not read what this node sends');
  }

  #fail(reason: string): void {
    this.#end.abort(new SwarmError('unavailable', reason));
  }

  #timer(name: string, delayMs: number, fn: () => void): void {
    this.#timers.get(name)?.cancel();
    const timer = this.#deps.clock.after(delayMs, () => {
      this.#timers.delete(name);
      fn();
    });
    this.#timers.set(name, timer);
  }
}
