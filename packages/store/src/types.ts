/** The store as its users see it. */
import type {
  Change,
  Config,
  Network,
  NodeId,
  ObjectOf,
  Secret,
  Service,
  ServiceId,
  TableName,
  Task,
  TaskId,
} from '@swarmd/model';

import type { AppliedRequest } from './applied-requests.ts';

/** What was written, also in transactions that were undone, some more than once; undefined when that is too long ago to know. */
export interface Written<Id> {
  readonly mark: number;
  readonly ids: readonly Id[] | undefined;
}

/** Reads of one consistent state. Iterables are live: do not keep them over an await. */
export interface ReadView {
  /** Raft index of the last change in this view. */
  readonly version: number;
  get<T extends TableName>(table: T, id: ObjectOf[T]['id']): ObjectOf[T] | undefined;
  list<T extends TableName>(table: T): Iterable<ObjectOf[T]>;
  count(table: TableName): number;
  serviceByName(name: string): Service | undefined;
  networkByName(name: string): Network | undefined;
  secretByName(name: string): Secret | undefined;
  configByName(name: string): Config | undefined;
  /** Grows with every write to the table, undone ones included: same count, same rows. */
  writesOf(table: TableName): number;
  tasksByService(id: ServiceId): Iterable<Task>;
  tasksByNode(id: NodeId): Iterable<Task>;
  /** Tasks made, changed or deleted since an earlier call answered `mark`. */
  tasksWrittenSince(mark: number | undefined): Written<TaskId>;
  nodesWrittenSince(mark: number | undefined): Written<NodeId>;
}

/**
 * Reads see the transaction's own writes. Writing an object whose `meta.version` is not the stored
 * one throws `out-of-date`; new objects have version 0.
 */
export interface Transaction extends ReadView {
  put<T extends TableName>(table: T, object: ObjectOf[T]): void;
  delete<T extends TableName>(table: T, id: ObjectOf[T]['id']): void;
}

export interface ChangedObject<T extends TableName = TableName> {
  readonly table: T;
  readonly before: ObjectOf[T] | undefined;
  readonly after: ObjectOf[T] | undefined;
}

/** A transaction that will be taken back, and can tell what it has done. */
export interface Rehearsal extends Transaction {
  /** One for each object, in the order of their first write; without what was made and deleted. */
  changes(): Commit['changes'];
}

export interface Commit {
  readonly version: number;
  readonly changes: readonly { [T in TableName]: ChangedObject<T> }[TableName][];
}

/**
 * Replicates changes, and which requests they answer; resolves with the Raft index once they are applied to
 * this store.
 */
export interface Proposer {
  propose(
    changes: readonly Change[],
    signal: AbortSignal,
    requests: readonly AppliedRequest[],
  ): Promise<number>;
}

export interface Store {
  readonly view: ReadView;
  /**
   * Runs `fn` on the leader against the newest state and replicates its writes. Transactions that
   * arrive while one batch is being committed leave together as the next one. `fn` must be
   * synchronous and may throw to abandon its writes. `isPatient`: nobody waits for it; what others wait
   * for goes first.
   */
  update<R>(
    fn: (tx: Transaction) => R extends PromiseLike<unknown> ? never : R,
    signal: AbortSignal,
    options?: { isPatient?: boolean },
  ): Promise<R>;
  /**
   * As `update`, for a request that its caller repeats under the same id when it does not hear what
   * became of it: `fn` takes effect once, and every attempt gets the answer of the one that did.
   */
  updateOnce(
    requestId: string,
    fn: (tx: Transaction) => string,
    signal: AbortSignal,
  ): Promise<string>;
  /**
   * Runs `fn` as `update` would, against the same state, and abandons its writes: nothing is replicated
   * and nobody else sees them. That this store has the newest state is for the caller to know.
   */
  rehearse<R>(
    fn: (tx: Rehearsal) => R extends PromiseLike<unknown> ? never : R,
    signal: AbortSignal,
  ): Promise<R>;
  /** Has this request taken effect? The newest ones are remembered, for some minutes. */
  isApplied(requestId: string): boolean;
  /** Synchronous, after each applied entry; listeners only enqueue. */
  subscribe(listener: (commit: Commit) => void): Disposable;
  /** Called by the state machine with every committed entry, on every manager. */
  apply(version: number, changes: readonly Change[], requests?: readonly AppliedRequest[]): void;
  /** Every object, for a snapshot; a picture that later changes do not touch. */
  snapshot(): Iterable<Change>;
  /** For a snapshot: the requests that are remembered, oldest first. */
  requests(): readonly AppliedRequest[];
  /** `requests` are looked at after all `changes`. */
  restore(version: number, changes: Iterable<Change>, requests?: Iterable<AppliedRequest>): void;
}
