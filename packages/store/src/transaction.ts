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
  /** `table/id` of everything earlier transactions of this batch wrote. */
  readonly written: ReadonlySet<string>;
  /** Time stamp of the writes. */
  readonly now: number;
}

export class OpenTransaction extends TableView implements Transaction {
  readonly #batch: BatchState;
  readonly #undo: (() => void)[] = [];
  /** By `table/id`: only the last write of an object counts. */
  readonly #writes = new Map<string, Change>();
  /** By `table/id`: each object it wrote as it was before. */
  readonly #before = new Map<string, { table: TableName; object: AnyObject | undefined }>();
  /** Once it must run again it stays so, even if the callback swallows the error. */
  mustRunAgain = false;
  #open = true;

  constructor(tables: Tables, batch: BatchState) {
    super(tables);
    this.#batch = batch;
  }

  get writes(): ReadonlyMap<string, Change> {
    return this.#writes;
  }

  /** What it has written so far, with what was there before. */
  changes(): Commit['changes'] {
    return [...this.#before].flatMap(([key, { table, object: before }]) => {
      const write = this.#writes.get(key);
      if (write === undefined) return [];
      const after = write.kind === 'put' ? write.object : undefined;
      return [{ table, before, after } as Commit['changes'][number]];
    });
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
    const key = this.#claim(table, object.id);
    checkVersion(table, before, object);
    this.#checkName(table, object);
    if (table === 'task' && before !== undefined) assertForward(before as Task, object as Task);
    const meta: Meta = {
      version: object.meta.version,
      createdAt: before?.meta.createdAt ?? this.#batch.now,
      updatedAt: this.#batch.now,
    };
    const stored: ObjectOf[T] = { ...object, meta };
    this.#write(table, object.id, stored);
    this.#writes.set(key, { kind: 'put', table, object: stored } as Change);
  }

  delete<T extends TableName>(table: T, id: ObjectOf[T]['id']): void {
    const before = this.get(table, id);
    const key = this.#claim(table, id);
    if (before === undefined) throw new SwarmError('not-found', `no ${table} with id ${id}`);
    this.#write(table, id, undefined);
    // Made and deleted in one transaction: nothing to replicate.
    if (this.#before.get(key)?.object === undefined) this.#writes.delete(key);
    else this.#writes.set(key, { kind: 'delete', table, id } as Change);
  }

  /** Ends the callback's access. @returns the estimated size of its writes in bytes. */
  close(): number {
    this.#open = false;
    const bytes = estimateBytes(this.#writes.values());
    if (bytes <= TRANSACTION_BYTES_MAX) return bytes;
    throw new SwarmError(
      'resource-exhausted',
      `one change of the cluster may be ${TRANSACTION_BYTES_MAX} bytes, this one has about ${bytes}; do it in smaller steps`,
    );
  }

  /** Takes every write back out of the tables. */
  undo(): void {
    this.#open = false;
    for (const step of this.#undo.toReversed()) step();
    this.#undo.length = 0;
  }

  #claim(table: TableName, id: string): string {
    assert(this.#open, 'a transaction is not written to after its callback has returned');
    const key = `${table}/${id}`;
    // An earlier transaction of the batch wrote it: its new version is not known before the commit.
    if (this.#batch.written.has(key)) {
      this.mustRunAgain = true;
      throw new RunAgain();
    }
    return key;
  }

  #write<T extends TableName>(table: T, id: string, after: ObjectOf[T] | undefined): void {
    const key = `${table}/${id}`;
    const before = this.tables.write(table, id, after);
    if (!this.#before.has(key)) this.#before.set(key, { table, object: before });
    this.#undo.push(() => this.tables.write(table, id, before));
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
