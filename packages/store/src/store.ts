/** The replicated state of the cluster on one manager: fed by committed entries, read by everyone. */
import type { Clock } from '@swarmd/base';
import { TABLE_NAMES, type Change, type Meta, type ObjectOf, type TableName } from '@swarmd/model';

import type { AppliedRequest } from './applied-requests.ts';
import { GroupCommit, type Gather } from './group-commit.ts';
import { Tables, TableView } from './tables.ts';
import type { OpenTransaction } from './transaction.ts';
import type {
  ChangedObject,
  Commit,
  Proposer,
  ReadView,
  Rehearsal,
  Store,
  Transaction,
} from './types.ts';

export interface StoreOptions {
  /** Replicates batches and calls `apply`. */
  readonly proposer: Proposer;
  /** Stamps writes made through this store. */
  readonly clock: Clock;
  readonly gather?: Gather;
}

export function createStore(options: StoreOptions): Store {
  return new MemoryStore(options);
}

class MemoryStore implements Store {
  readonly view: ReadView;
  readonly #tables = new Tables();
  readonly #group: GroupCommit;
  readonly #listeners = new Set<(commit: Commit) => void>();

  constructor(options: StoreOptions) {
    this.view = new TableView(this.#tables);
    this.#group = new GroupCommit({ tables: this.#tables, ...options });
  }

  update<R>(
    fn: (tx: Transaction) => R extends PromiseLike<unknown> ? never : R,
    signal: AbortSignal,
    options: { isPatient?: boolean } = {},
  ): Promise<R> {
    return this.#group.submit(fn, signal, options) as Promise<R>;
  }

  updateOnce(
    requestId: string,
    fn: (tx: Transaction) => string,
    signal: AbortSignal,
  ): Promise<string> {
    return this.#group.submit(fn, signal, { requestId }) as Promise<string>;
  }

  async rehearse<R>(
    fn: (tx: Rehearsal) => R extends PromiseLike<unknown> ? never : R,
    signal: AbortSignal,
  ): Promise<R> {
    const run = (tx: OpenTransaction): never => {
      const value = fn(tx);
      // It may be too large, and the real one would be refused for it.
      tx.close();
      throw new Abandoned(value);
    };
    try {
      return (await this.#group.submit(run, signal)) as never;
    } catch (error) {
      if (error instanceof Abandoned) return error.value as R;
      throw error;
    }
  }

  isApplied(requestId: string): boolean {
    return this.#tables.requests.get(requestId) !== undefined;
  }

  requests(): readonly AppliedRequest[] {
    return this.#tables.requests.list();
  }

  subscribe(listener: (commit: Commit) => void): Disposable {
    // Wrapped, so that the same function may subscribe twice.
    const entry = (commit: Commit): void => listener(commit);
    this.#listeners.add(entry);
    return { [Symbol.dispose]: () => void this.#listeners.delete(entry) };
  }

  apply(
    version: number,
    changes: readonly Change[],
    requests: readonly AppliedRequest[] = [],
  ): void {
    this.#tables.version = version;
    this.#tables.requests.add(requests);
    const changed: Commit['changes'][number][] = [];
    for (const change of changes) {
      const result =
        change.kind === 'put'
          ? this.#replace(change.table, change.object.id, stamped(change.object, version))
          : this.#replace(change.table, change.id, undefined);
      if (result.before !== undefined || result.after !== undefined) {
        changed.push(result as Commit['changes'][number]);
      }
    }
    this.#publish({ version, changes: changed });
  }

  snapshot(): Iterable<Change> {
    // Objects are immutable: a copy of the lists of references is a picture of this moment.
    return puts(
      TABLE_NAMES.map((table) => ({ table, objects: [...this.#tables.rows[table].values()] })),
    );
  }

  restore(
    version: number,
    changes: Iterable<Change>,
    requests: Iterable<AppliedRequest> = [],
  ): void {
    const kept = new Set<string>();
    const changed: Commit['changes'][number][] = [];
    for (const change of changes) {
      if (change.kind !== 'put') continue;
      const { table, object } = change;
      kept.add(`${table}/${object.id}`);
      // Same version, same object: keeping ours keeps the identity that others compare by.
      if (this.#tables.rows[table].get(object.id)?.meta.version === object.meta.version) continue;
      changed.push(this.#replace(table, object.id, object) as Commit['changes'][number]);
    }
    for (const table of TABLE_NAMES) {
      for (const id of this.#tables.rows[table].keys()) {
        if (kept.has(`${table}/${id}`)) continue;
        changed.push(this.#replace(table, id, undefined) as Commit['changes'][number]);
      }
    }
    this.#tables.requests.replace(requests);
    this.#tables.version = version;
    this.#publish({ version, changes: changed });
  }

  #replace<T extends TableName>(
    table: T,
    id: string,
    after: ObjectOf[T] | undefined,
  ): ChangedObject<T> {
    return { table, before: this.#tables.write(table, id, after), after };
  }

  #publish(commit: Commit): void {
    for (const listener of this.#listeners) listener(commit);
  }
}

/** Ends a rehearsal: what throws is taken back. Never leaves the store. */
class Abandoned extends Error {
  readonly value: unknown;

  constructor(value: unknown) {
    super('a rehearsal is taken back');
    this.value = value;
  }
}

function* puts(
  picture: readonly { table: TableName; objects: readonly ObjectOf[TableName][] }[],
): Iterable<Change> {
  for (const { table, objects } of picture) {
    for (const object of objects) yield { kind: 'put', table, object } as Change;
  }
}

/**
 * Written in place: what is applied was made for this, by a transaction or by decoding, and nobody else has it yet.
 * A copy of each object would be most of what applying costs, and garbage that has grown old. Of one batch
 * many have one meta, and all get the same version.
 */
function stamped<T extends TableName>(object: ObjectOf[T], version: number): ObjectOf[T] {
  const meta: { -readonly [K in keyof Meta]: Meta[K] } = object.meta;
  meta.version = version;
  return object;
}
