/** The main thread's side of a Raft member: starts the worker, and is the `Raft` its users see. */
import { Worker } from 'node:worker_threads';

import {
  disposeOnFailure,
  errorMessage,
  SwarmError,
  unreachable,
  withDeadline,
  type Clock,
  type Logger,
  type NextTurn,
} from '@swarmd/base';

import { Calls } from './calls.ts';
import {
  PROPOSAL_MAX_BYTES,
  PROPOSALS_PENDING_MAX,
  READ_DEADLINE_MS,
  READS_PENDING_MAX,
  REPORT_DEADLINE_MS,
  REPORTS_PENDING_MAX,
  STOP_DEADLINE_MS,
  STOP_EXIT_MS,
  STOP_HANDOVER_MS,
} from './limits.ts';
import { StateMachineFeed } from './state-machine-feed.ts';
import { isNews } from './status.ts';
import type {
  MembershipChange,
  Raft,
  RaftDependencies,
  RaftOptions,
  RaftReport,
  RaftStatus,
  RaftTls,
  StateMachine,
} from './types.ts';
import { ownBuffer, type FromWorker, type ToWorker, type WorkerStart } from './worker-protocol.ts';

/**
 * Starts a member in a worker thread of its own. Resolves once everything that this member's disk
 * knows to be committed is applied to `stateMachine` and its listener is open.
 *
 * @throws SwarmError `data-loss` when the log is damaged, was wiped or belongs to another member;
 * `failed-precondition` when it is in use, is encrypted with another key, or the listener's address
 * is taken.
 */
export async function startRaft(
  options: RaftOptions,
  stateMachine: StateMachine,
  dependencies: RaftDependencies,
): Promise<Raft> {
  const url = dependencies.workerUrl ?? new URL('./worker.ts', import.meta.url);
  const start: WorkerStart = { options, protoDir: dependencies.protoDir };
  const worker = new Worker(url, { workerData: start, name: 'raft' });
  const raft = new WorkerRaft({ worker, stateMachine, ...dependencies }, options);
  await disposeOnFailure(raft, () => raft.started);
  return raft;
}

interface Parts {
  readonly worker: Worker;
  readonly stateMachine: StateMachine;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly nextTurn?: NextTurn | undefined;
}

class WorkerRaft implements Raft {
  readonly started: Promise<void>;
  readonly failed: Promise<never>;
  readonly #parts: Parts;
  readonly #feed: StateMachineFeed;
  readonly #proposals = new Calls(PROPOSALS_PENDING_MAX, 'proposals');
  readonly #reads = new Calls(READS_PENDING_MAX, 'reads');
  readonly #reports = new Calls<RaftReport>(REPORTS_PENDING_MAX, 'reports');
  /** Reads whose index is known and not applied yet. */
  #readsAt: { readonly id: number; readonly index: number }[] = [];
  readonly #listeners = new Set<(status: RaftStatus) => void>();
  #status: RaftStatus;
  #lastId = 0;
  #onStarted: () => void = () => undefined;
  #onFailed: (error: Error) => void = () => undefined;
  #onStopped: () => void = () => undefined;
  #ended: SwarmError | undefined;
  #exited = false;
  #disposing: Promise<void> | undefined;

  constructor(parts: Parts, options: RaftOptions) {
    this.#parts = parts;
    this.#status = initialStatus(options.raftId);
    this.#feed = new StateMachineFeed(parts.stateMachine, {
      clock: parts.clock,
      post: (message) => this.#post(message),
      nextTurn: (step) => (parts.nextTurn ?? setImmediate)(() => this.#turnOfMachine(step)),
    });
    this.failed = new Promise<never>((_, reject) => (this.#onFailed = reject));
    // Nobody needs to listen; whoever does still gets it.
    this.failed.catch(() => undefined);
    const ready = new Promise<void>((resolve) => (this.#onStarted = resolve));
    this.started = Promise.race([ready, this.failed]);
    const { worker } = parts;
    worker.on('message', (message: FromWorker) => this.#receive(message));
    worker.on('error', (error) => this.#fail(workerError(error)));
    worker.on('exit', (code) => {
      this.#exited = true;
      this.#onStopped();
      this.#fail(new SwarmError('internal', `the Raft worker ended with code ${code}`));
    });
  }

  status(): RaftStatus {
    return this.#status;
  }

  async report(signal: AbortSignal): Promise<RaftReport> {
    if (this.#ended !== undefined) throw this.#ended;
    const id = this.#nextId();
    const { clock } = this.#parts;
    const what = 'asking the Raft worker for a report';
    return await withDeadline({ clock, timeoutMs: REPORT_DEADLINE_MS, what, signal }, (limited) =>
      this.#reports.run(id, limited, { start: () => this.#post({ kind: 'report', id }) }),
    );
  }

  onStatus(listener: (status: RaftStatus) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  propose(data: Uint8Array, signal: AbortSignal): Promise<number> {
    if (data.length === 0 || data.length > PROPOSAL_MAX_BYTES) {
      const why = `a proposal has 1 to ${PROPOSAL_MAX_BYTES} bytes, not ${data.length}`;
      return Promise.reject(new SwarmError('invalid-argument', why));
    }
    return this.#call(signal, (id) => ({ kind: 'propose', id, data: ownBuffer(data) }));
  }

  async readBarrier(signal: AbortSignal): Promise<void> {
    if (this.#ended !== undefined) throw this.#ended;
    const id = this.#nextId();
    const { clock } = this.#parts;
    const what = 'confirming a read with a quorum of the managers';
    await withDeadline({ clock, timeoutMs: READ_DEADLINE_MS, what, signal }, (limited) =>
      this.#reads.run(id, limited, {
        start: () => this.#post({ kind: 'read', id }),
        onAbort: () => this.#post({ kind: 'forgetRead', id }),
      }),
    );
  }

  async changeMembership(change: MembershipChange, signal: AbortSignal): Promise<void> {
    await this.#call(signal, (id) => ({ kind: 'change', id, change }));
  }

  async transferLeadership(to: number | undefined, signal: AbortSignal): Promise<void> {
    await this.#call(signal, (id) => ({ kind: 'transfer', id, to }));
  }

  setTls(tls: RaftTls): void {
    this.#post({ kind: 'tls', tls });
  }

  refuseNodes(nodeIds: readonly string[]): void {
    this.#post({ kind: 'refuseNodes', nodeIds });
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposing ??= this.#dispose();
    return this.#disposing;
  }

  async #dispose(): Promise<void> {
    const { worker, clock, logger } = this.#parts;
    if (!this.#exited) {
      const stopped = new Promise<void>((resolve) => (this.#onStopped = resolve));
      const timeoutMs = STOP_DEADLINE_MS + STOP_HANDOVER_MS;
      try {
        await withDeadline({ clock, timeoutMs, what: 'stopping Raft' }, () => {
          worker.postMessage({ kind: 'stop' } satisfies ToWorker);
          return stopped;
        });
      } catch (error) {
        logger.warn({ error: errorMessage(error) }, 'the Raft worker is terminated');
      }
    }
    this.#end(new SwarmError('cancelled', 'Raft was stopped'));
    await this.#untilExited();
    await worker.terminate();
  }

  /**
   * The worker ends by itself once its connections are closed. Cut off while it has any, it takes the process
   * with it: Node's HTTP/2 gets data for a stream that no JavaScript was run for (CallJSOnreadMethod aborts).
   */
  async #untilExited(): Promise<void> {
    const { worker, clock, logger } = this.#parts;
    if (this.#exited) return;
    const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
    try {
      await withDeadline(
        { clock, timeoutMs: STOP_EXIT_MS, what: 'the end of the Raft worker' },
        () => exited,
      );
    } catch (error) {
      logger.warn({ error: errorMessage(error) }, 'the Raft worker is terminated');
    }
  }

  async #call(signal: AbortSignal, message: (id: number) => ToWorker): Promise<number> {
    if (this.#ended !== undefined) throw this.#ended;
    const id = this.#nextId();
    return await this.#proposals.run(id, signal, { start: () => this.#post(message(id)) });
  }

  #nextId(): number {
    this.#lastId += 1;
    return this.#lastId;
  }

  #receive(message: FromWorker): void {
    if (this.#ended !== undefined && message.kind !== 'stopped') return;
    switch (message.kind) {
      case 'ready':
        this.#onStarted();
        break;
      case 'failed':
        this.#fail(new SwarmError(message.error.code, message.error.message));
        break;
      case 'status':
        this.#takeStatus(message.status);
        break;
      case 'report':
        this.#reports.resolve(message.id, message.report);
        break;
      case 'done':
        this.#proposals.resolve(message.id, this.#feed.applied);
        break;
      case 'refused':
        this.#proposals.reject(message.id, message.error);
        break;
      case 'readIndex':
        this.#readsAt.push({ id: message.id, index: message.index });
        this.#releaseReads();
        break;
      case 'ping':
        this.#post({ kind: 'pong' });
        break;
      case 'log':
        this.#parts.logger[message.level](message.fields, message.message);
        break;
      case 'stopped':
        this.#onStopped();
        break;
      case 'apply':
      case 'takeSnapshot':
      case 'snapshotCredit':
      case 'dropSnapshot':
      case 'restoreBegin':
      case 'restoreFrame':
      case 'restoreEnd':
        this.#feedMachine(message);
        break;
      default:
        unreachable(message);
    }
  }

  #feedMachine(message: Parameters<StateMachineFeed['handle']>[0]): void {
    if (!this.#guardMachine(() => this.#feed.handle(message)) || message.kind !== 'apply') return;
    for (const { id, index } of message.batch.done) this.#proposals.resolve(id, index);
    this.#releaseReads();
  }

  /** @returns false when the member has ended, or ends with it: the state machine failed. */
  #guardMachine(step: () => void): boolean {
    if (this.#ended !== undefined) return false;
    try {
      step();
      return true;
    } catch (cause) {
      const why = `the state machine failed: ${errorMessage(cause)}`;
      this.#fail(new SwarmError('internal', why, { cause }));
      this.#post({ kind: 'stop' });
      return false;
    }
  }

  /** A snapshot may have come to its end. */
  #turnOfMachine(step: () => void): void {
    if (this.#guardMachine(step)) this.#releaseReads();
  }

  #releaseReads(): void {
    if (this.#readsAt.length === 0) return;
    const { applied } = this.#feed;
    for (const { id, index } of this.#readsAt) if (index <= applied) this.#reads.resolve(id, index);
    this.#readsAt = this.#readsAt.filter(
      (read) => read.index > applied && this.#reads.has(read.id),
    );
  }

  #takeStatus(status: RaftStatus): void {
    const news = isNews(this.#status, status);
    this.#status = status;
    if (!news) return;
    for (const listener of this.#listeners) listener(status);
  }

  #post(message: ToWorker): void {
    if (this.#disposing !== undefined && this.#ended !== undefined) return;
    const buffer =
      message.kind === 'propose'
        ? [message.data]
        : message.kind === 'snapshotFrame'
          ? [message.frame]
          : [];
    this.#parts.worker.postMessage(message, buffer);
  }

  #fail(error: SwarmError): void {
    if (this.#ended !== undefined) return;
    this.#end(error);
    this.#onFailed(error);
  }

  #end(error: SwarmError): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    this.#proposals.rejectAll(lostCall(error));
    this.#reads.rejectAll(error);
    this.#reports.rejectAll(error);
  }
}

/** A call whose outcome nobody will report any more. */
function lostCall(reason: SwarmError): SwarmError {
  const why = `Raft stopped before the outcome was known: ${reason.message}`;
  return new SwarmError('unknown-outcome', why, { cause: reason });
}

function workerError(error: unknown): SwarmError {
  const why = `the Raft worker crashed: ${errorMessage(error)}`;
  return new SwarmError('internal', why, { cause: error });
}

function initialStatus(raftId: number): RaftStatus {
  return {
    raftId,
    role: 'follower',
    term: 0,
    leader: 0,
    commit: 0,
    applied: 0,
    first: 1,
    last: 0,
    members: [],
    progress: [],
  };
}
