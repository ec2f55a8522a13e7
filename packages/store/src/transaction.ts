/**
 * One transaction while its callback runs. Writes go straight into the tables, with a note of how
 * to undo them: the callback is synchronous, so nobody sees the tables until the batch has taken
 * its writes back out again and sent them to be replicated.
 */
import { assert, SwarmError } from '@swarmd/base';
import {
  rank,
  type Change,
  type Meta,
  type ObjectOf,
  type TableName,
  type Task,
  STANDBY_SLOT,
} from '@swarmd/model';

import { TRANSACTION_BYTES_MAX } from './limits.ts';
import { estimateBytes } from './size.ts';
import { nameOf, TableView, type Tables } from './tables.ts';
import type { Commit, Transaction } from './types.ts';

type AnyObject = ObjectOf[TableName];

/** Thrown through the callback when it must run again, in the next batch. Never leaves the store. */
export class RunAgain extends Error {}

export interface BatchState {
  /** What earlier transactions of this batch wrote. */
  readonly written: WrittenRows;
  /** Of its writes. */
  readonly stamps: Stamps;
}

/** What the writes of a batch have as their meta. Most have the same: one object serves those in a row. */
export class Stamps {
  readonly now: number;
  #newest: Meta | undefined;

  constructor(now: number) {
    this.now = now;
  }

  meta(version: number, createdAt = this.now): Meta {
    const known = this.#newest;
    if (known?.version === version && known.createdAt === createdAt) return known;
    return (this.#newest = { version, createdAt, updatedAt: this.now });
  }
}

/** Rows that transactions of a batch wrote. */
export class WrittenRows {
  readonly #ids = new Map<TableName, Set<string>>();

  add(table: TableName, id: string): void {
    const ids = this.#ids.get(table);
    if (ids === undefined) this.#ids.set(table, new Set([id]));
    else ids.add(id);
  }

  has(table: TableName, id: string): boolean {
    return this.#ids.get(table)?.has(id) ?? false;
  }
}

/** A row that the transaction wrote: what was there before, what is there now. */
interface WrittenRow {
  readonly table: TableName;
  readonly id: string;
  readonly before: AnyObject | undefined;
  /** Only the last write of an object counts. */
  after: AnyObject | undefined;
}

export class OpenTransaction extends TableView implements Transaction {
  readonly #batch: BatchState;
  /** In the order of their first write. */
  readonly #rows = new Map<TableName, Map<string, WrittenRow>>();
  /** Once it must run again it stays so, even if the callback swallows the error. */
  mustRunAgain = false;
  #open = true;

  constructor(tables: Tables, batch: BatchState) {
    super(tables);
    this.#batch = batch;
  }

  /** What it has written so far, to be replicated. */
  writes(): Change[] {
    const writes: Change[] = [];
    for (const { table, id, before, after } of this.#written()) {
      if (after !== undefined) writes.push({ kind: 'put', table, object: after } as Change);
      // Made and deleted in one transaction: nothing to replicate.
      else if (before !== undefined) writes.push({ kind: 'delete', table, id } as Change);
    }
    return writes;
  }

  /** What it has written so far, with what was there before. */
  changes(): Commit['changes'] {
    return [...this.#written()]
      .filter(({ before, after }) => before !== undefined || after !== undefined)
      .map(({ table, before, after }) => ({ table, before, after }) as Commit['changes'][number]);
  }

  *#written(): Iterable<WrittenRow> {
    for (const rows of this.#rows.values()) yield* rows.values();
  }

  /** A copy, so that writing while iterating is safe. */
  override list<T extends TableName>(table: T): Iterable<ObjectOf[T]> {
    return [...super.list(table)];
  }

  override tasksByService(id: Task['serviceId']): Iterable<Task> {
    return [...super.tasksByService(id)];
  }

  override tasksByNode(id: NonNullable<Task['nodeId']>): Iterable<Task> {
    return [...super.tasksByNode(id)];
  }

  put<T extends TableName>(table: T, object: ObjectOf[T]): void {
    const before = this.get(table, object.id);
    if (before === object) return;
    this.#claim(table, object.id);
    checkVersion(table, before, object);
    this.#checkName(table, object);
    if (table === 'task' && before !== undefined) assertForward(before as Task, object as Task);
    const meta = this.#batch.stamps.meta(object.meta.version, before?.meta.createdAt);
    this.#write(table, object.id, { ...object, meta });
  }

  delete<T extends TableName>(table: T, id: ObjectOf[T]['id']): void {
    const before = this.get(table, id);
    this.#claim(table, id);
    if (before === undefined) throw new SwarmError('not-found', `no ${table} with id ${id}`);
    this.#write(table, id, undefined);
  }

  /** Ends the callback's access. @returns its writes, and their estimated size in bytes. */
  close(): { readonly writes: readonly Change[]; readonly bytes: number } {
    this.#open = false;
    const writes = this.writes();
    const bytes = estimateBytes(writes);
    if (bytes <= TRANSACTION_BYTES_MAX) return { writes, bytes };
    throw new SwarmError(
      'resource-exhausted',
      `one change of the cluster may be ${TRANSACTION_BYTES_MAX} bytes, this one has about ${bytes}; do it in smaller steps`,
    );
  }

  /** Takes every write back out of the tables. */
  undo(): void {
    this.#open = false;
    for (const { table, id, before } of this.#written()) {
      this.tables.write(table, id, before);
    }
    this.#rows.clear();
  }

  #claim(table: TableName, id: string): void {
    assert(this.#open, 'a transaction is not written to after its callback has returned');
    // An earlier transaction of the batch wrote it: its new version is not known before the commit.
    if (this.#batch.written.has(table, id)) {
      this.mustRunAgain = true;
      throw new RunAgain();
    }
  }

  #write<T extends TableName>(table: T, id: string, after: ObjectOf[T] | undefined): void {
    const before = this.tables.write(table, id, after);
    let rows = this.#rows.get(table);
    if (rows === undefined) this.#rows.set(table, (rows = new Map()));
    const row = rows.get(id);
    if (row === undefined) rows.set(id, { table, id, before, after });
    else row.after = after;
  }

  #checkName<T extends TableName>(table: T, object: ObjectOf[T]): void {
    const name = nameOf(object);
    const holder = name === undefined ? undefined : this.tables.namesOf(table)?.get(name);
    if (holder === undefined || holder.id === object.id) return;
    throw new SwarmError(
      'already-exists',
      `a ${table} named "${name}" exists already (${holder.id}); choose another name`,
    );
  }
}

function checkVersion(table: TableName, before: AnyObject | undefined, object: AnyObject): void {
  const stored = before?.meta.version ?? 0;
  if (object.meta.version === stored) return;
  const label = nameOf(object) ?? object.id;
  throw new SwarmError(
    'out-of-date',
    before === undefined
      ? `${table} ${label} was removed meanwhile`
      : `${table} ${label} was changed meanwhile: version ${object.meta.version} was read, ${stored} is stored; read it again and repeat the change`,
  );
}

/** Tasks only move forward: observed rank, desired rank, and a node once chosen. */
function assertForward(before: Task, after: Task): void {
  const name = `task ${after.id}`;
  assert(
    rank(after.status.state) >= rank(before.status.state),
    `${name}: status never goes back (${before.status.state} to ${after.status.state})`,
  );
  assert(
    rank(after.desiredState) >= rank(before.desiredState),
    `${name}: desired state never decreases (${before.desiredState} to ${after.desiredState})`,
  );
  assert(
    before.nodeId === undefined || before.nodeId === after.nodeId,
    `${name}: never changes node (${before.nodeId} to ${after.nodeId})`,
  );
  assert(
    before.serviceId === after.serviceId &&
      (before.slot === after.slot || before.slot === STANDBY_SLOT),
    `${name}: stays in its slot of its service, once it has one`,
  );
}
