/** What every part of the control API works with: linearizable reads and writes on the leader. */
import type { Call, Control } from '@swarmd/api';
import { errorCode, type Clock, type ErrorCode, type Ids } from '@swarmd/base';
import type { Meta, NodeId, ObjectOf, TableName } from '@swarmd/model';
import type { Raft } from '@swarmd/raft';
import type { ReadView, Store, Transaction } from '@swarmd/store';

import type { LeaderRoute } from '../leadership/leader-route.ts';
import { dismissManager, prepareDismissal, whenDismissed } from '../membership/dismiss.ts';
import { notFound } from './validate.ts';

export interface ControlOptions {
  readonly store: Store;
  readonly raft: Raft;
  readonly route: LeaderRoute;
  readonly clock: Clock;
  readonly ids: Ids;
}

const VERDICTS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'already-exists',
  'failed-precondition',
  'invalid-argument',
  'not-found',
  'out-of-date',
]);

type Forward<R> = (leader: Control, call: Call) => Promise<R>;

export class ControlContext {
  readonly clock: Clock;
  readonly ids: Ids;
  readonly #options: ControlOptions;

  constructor(options: ControlOptions) {
    this.#options = options;
    this.clock = options.clock;
    this.ids = options.ids;
  }

  /** A view that has everything committed when the call came. Read it before the next await. */
  async read(call: Call): Promise<ReadView> {
    await this.#options.route.readBarrier(call);
    return this.#options.store.view;
  }

  /** Runs `fn` as a transaction on the leader, here or (by `forward`) where the leader is. */
  write(call: Call, fn: (tx: Transaction) => void, forward: Forward<void>): Promise<void> {
    return this.onLeader(call, (signal) => this.finish(call, fn, signal), forward);
  }

  /** Runs work of several steps on the leader, here or where the leader is. */
  onLeader<R>(
    call: Call,
    work: (signal: AbortSignal) => Promise<R>,
    forward: Forward<R>,
  ): Promise<R> {
    return this.#options.route.run<R>(call, {
      here: (_duties, signal) => this.#confirmed(call, () => work(signal)),
      there: (manager, forwarded) => forward(manager.control, forwarded),
    });
  }

  /**
   * A refusal is a verdict on the state, which a leader that was replaced without noticing must not
   * give: before it is told, the quorum confirms that the state was current.
   */
  async #confirmed<R>(call: Call, work: () => Promise<R>): Promise<R> {
    try {
      return await work();
    } catch (error) {
      if (VERDICTS.has(errorCode(error))) await this.#options.route.readBarrier(call);
      throw error;
    }
  }

  /** The transaction that completes such work: of all attempts of a request, one takes effect. */
  async finish(call: Call, fn: (tx: Transaction) => void, signal: AbortSignal): Promise<void> {
    await this.#once(call, signal, (tx) => {
      fn(tx);
      return '';
    });
  }

  /** True when an earlier attempt of this request has completed: there is nothing left to check. */
  isFinished({ requestId }: Call): boolean {
    return requestId !== undefined && this.#options.store.isApplied(requestId);
  }

  #once(
    { requestId }: Call,
    signal: AbortSignal,
    fn: (tx: Transaction) => string,
  ): Promise<string> {
    const { store } = this.#options;
    return requestId === undefined
      ? store.update<string>(fn, signal)
      : store.updateOnce(requestId, fn, signal);
  }

  /** The state as this manager has it; on the leader, the newest there is. */
  get view(): ReadView {
    return this.#options.store.view;
  }

  /** Leader only: takes a node out of Raft, if the quorum stays. */
  dismissManager(nodeId: NodeId, signal: AbortSignal): Promise<void> {
    return dismissManager(this.#options, nodeId, signal);
  }

  /** Leader only: may the node stop being a manager? @throws SwarmError as `prepareDismissal`. */
  async prepareDismissal(nodeId: NodeId, signal: AbortSignal): Promise<void> {
    await prepareDismissal(this.#options, nodeId, signal);
  }

  /** Resolves when a demoted node is out of Raft, or after some time. */
  whenDismissed(nodeId: NodeId, signal: AbortSignal): Promise<void> {
    return whenDismissed(this.#options, nodeId, signal);
  }

  /** As `write`, for one object: answers it as stored, with the version the commit gave it. */
  async writeObject<T extends TableName>(
    options: { call: Call; table: T; forward: Forward<ObjectOf[T]> },
    fn: (tx: Transaction) => ObjectOf[T],
  ): Promise<ObjectOf[T]> {
    const { call, table, forward } = options;
    const { store } = this.#options;
    const write = async (signal: AbortSignal): Promise<ObjectOf[T]> => {
      const id = await this.#once(call, signal, (tx) => fn(tx).id);
      const written = store.view.get(table, id as ObjectOf[T]['id']);
      if (written === undefined) throw notFound(table, id);
      return written;
    };
    return this.onLeader(call, write, forward);
  }

  /** Of an object that is about to be made. The store sets the version when it is committed. */
  newMeta(): Meta {
    const now = this.clock.now();
    return { version: 0, createdAt: now, updatedAt: now };
  }
}
