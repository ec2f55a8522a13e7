/** swarm.v1.Watch: committed changes from the local replica, redacted, with a bounded lag. */
import type { Call, Watch } from '@swarmd/api';
import { BoundedQueue, SwarmError } from '@swarmd/base';
import { TABLE_NAMES, type Change, type ObjectOf, type TableName } from '@swarmd/model';
import type { ChangedObject, Commit, ReadView, Store } from '@swarmd/store';

import { redactChange } from '../control/redact.ts';
import { invalid } from '../control/validate.ts';
import { WATCH_BATCH_CHANGES, WATCH_QUEUE_COMMITS, WATCHERS_MAX } from '../limits.ts';

interface Batch {
  readonly version: number;
  readonly changes: Change[];
}

export function createWatch(store: Store): Watch {
  let watchers = 0;
  return {
    async *watch(request, call) {
      if (watchers >= WATCHERS_MAX) throw tooMany();
      watchers += 1;
      try {
        yield* watch(store, request, call);
      } finally {
        watchers -= 1;
      }
    },
  };
}

async function* watch(
  store: Store,
  request: { tables: readonly TableName[]; includeExisting: boolean },
  call: Call,
): AsyncIterable<Batch> {
  const tables = tableSet(request.tables);
  const queue = new BoundedQueue<Batch>(WATCH_QUEUE_COMMITS);
  let overflown = false;
  using _subscription = store.subscribe((commit) => {
    const batch = batchOf(commit, tables);
    if (overflown || batch.changes.length === 0 || queue.offer(batch)) return;
    overflown = true;
    queue.close();
  });
  // Taken in the same turn as the subscription starts: nothing is missed, nothing comes twice.
  const existing = request.includeExisting ? existingChanges(store.view, tables) : [];
  const { version } = store.view;
  for (let at = 0; at < existing.length; at += WATCH_BATCH_CHANGES) {
    yield { version, changes: existing.slice(at, at + WATCH_BATCH_CHANGES).map(redactChange) };
  }
  if (existing.length === 0) yield { version, changes: [] };
  for (;;) {
    const batch = await queue.take(call.signal);
    if (batch === undefined) throw tooSlow();
    yield batch;
  }
}

function tableSet(names: readonly TableName[]): ReadonlySet<TableName> {
  const known: readonly string[] = TABLE_NAMES;
  for (const name of names) {
    if (known.includes(name)) continue;
    throw invalid(`watch: there is no table "${name}"; tables are ${TABLE_NAMES.join(', ')}`);
  }
  return new Set(names.length === 0 ? TABLE_NAMES : names);
}

function existingChanges(view: ReadView, tables: ReadonlySet<TableName>): Change[] {
  const changes: Change[] = [];
  for (const table of tables) {
    for (const object of view.list(table)) changes.push(put(table, object));
  }
  return changes;
}

function batchOf(commit: Commit, tables: ReadonlySet<TableName>): Batch {
  const changes: Change[] = [];
  for (const changed of commit.changes) {
    if (tables.has(changed.table)) changes.push(redactChange(changeOf(changed)));
  }
  return { version: commit.version, changes };
}

function changeOf({ table, before, after }: ChangedObject): Change {
  if (after !== undefined) return put(table, after);
  return { kind: 'delete', table, id: before?.id } as Change;
}

function put<T extends TableName>(table: T, object: ObjectOf[T]): Change {
  return { kind: 'put', table, object } as Change;
}

function tooMany(): SwarmError {
  return new SwarmError(
    'resource-exhausted',
    `this manager serves ${WATCHERS_MAX} watchers already; watch at another manager`,
  );
}

function tooSlow(): SwarmError {
  return new SwarmError(
    'resource-exhausted',
    `this watcher fell more than ${WATCH_QUEUE_COMMITS} commits behind; start the watch again`,
  );
}
