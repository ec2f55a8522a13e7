/**
 * The objects of the cluster in memory, with their indexes. Knows nothing of versions, rules or
 * transactions: a write replaces one row and keeps the indexes true.
 */
import { Journal } from '@swarmd/base';
import type {
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

import { AppliedRequests } from './applied-requests.ts';
import { JOURNAL_WRITES_MAX } from './limits.ts';
import type { ReadView, Written } from './types.ts';

type Rows = { readonly [T in TableName]: Map<string, ObjectOf[T]> };

/** Tables whose objects have a name that is unique among them. */
interface Names {
  readonly service: Map<string, Service>;
  readonly network: Map<string, Network>;
  readonly secret: Map<string, Secret>;
  readonly config: Map<string, Config>;
}

export class Tables {
  version = 0;
  /** The newest time stamp of any write: the next one is later, whatever this machine's clock says. */
  lastStamp = 0;
  readonly requests = new AppliedRequests();
  readonly taskJournal = new Journal<TaskId>(JOURNAL_WRITES_MAX);
  readonly nodeJournal = new Journal<NodeId>(JOURNAL_WRITES_MAX);
  readonly rows: Rows = {
    cluster: new Map(),
    config: new Map(),
    network: new Map(),
    node: new Map(),
    secret: new Map(),
    service: new Map(),
    task: new Map(),
  };
  readonly writes: { [T in TableName]: number } = {
    cluster: 0,
    config: 0,
    network: 0,
    node: 0,
    secret: 0,
    service: 0,
    task: 0,
  };
  readonly names: Names = {
    service: new Map(),
    network: new Map(),
    secret: new Map(),
    config: new Map(),
  };
  /** Ids, so that writing a task that stays where it is leaves them alone. */
  readonly tasksByService = new Map<string, Set<string>>();
  readonly tasksByNode = new Map<string, Set<string>>();

  /** Replaces the row of `id` by `after` (undefined: removes it). @returns what was there before. */
  write<T extends TableName>(
    table: T,
    id: string,
    after: ObjectOf[T] | undefined,
  ): ObjectOf[T] | undefined {
    const rows: Map<string, ObjectOf[T]> = this.rows[table];
    const before = rows.get(id);
    this.writes[table] += 1;
    if (after !== undefined) this.lastStamp = Math.max(this.lastStamp, after.meta.updatedAt);
    if (after === undefined) rows.delete(id);
    else rows.set(id, after);
    this.#index(table, before, after);
    return before;
  }

  #index<T extends TableName>(
    table: T,
    before: ObjectOf[T] | undefined,
    after: ObjectOf[T] | undefined,
  ): void {
    if (table === 'task') this.#indexTask(before as Task | undefined, after as Task | undefined);
    if (table === 'node') this.nodeJournal.note((after ?? before)?.id as NodeId);
    const names = this.namesOf(table);
    if (names === undefined) return;
    const oldName = nameOf(before);
    const newName = nameOf(after);
    // During a restore the name may have passed to another object already.
    if (oldName !== undefined && oldName !== newName && names.get(oldName)?.id === before?.id) {
      names.delete(oldName);
    }
    if (newName !== undefined && after !== undefined) names.set(newName, after);
  }

  /** The index by name of a table that has one. */
  namesOf<T extends TableName>(table: T): Map<string, ObjectOf[T]> | undefined {
    const names: { [K in TableName]?: Map<string, ObjectOf[K]> } = this.names;
    return names[table];
  }

  #indexTask(before: Task | undefined, after: Task | undefined): void {
    const id = (after ?? before)?.id;
    if (id === undefined) return;
    this.taskJournal.note(id);
    regroup(this.tasksByService, id, { from: before?.serviceId, to: after?.serviceId });
    regroup(this.tasksByNode, id, { from: before?.nodeId, to: after?.nodeId });
  }

  /** Of a group of ids. */
  *tasks(ids: Iterable<string> = []): Iterable<Task> {
    for (const id of ids) {
      const task = this.rows.task.get(id);
      if (task !== undefined) yield task;
    }
  }
}

function regroup(
  groups: Map<string, Set<string>>,
  id: string,
  { from, to }: { from: string | undefined; to: string | undefined },
): void {
  if (from === to) return;
  if (from !== undefined) {
    const group = groups.get(from);
    group?.delete(id);
    if (group?.size === 0) groups.delete(from);
  }
  if (to === undefined) return;
  const group = groups.get(to);
  if (group === undefined) groups.set(to, new Set([id]));
  else group.add(id);
}

/** The unique name of an object, for the tables that have one. Former versions have lost theirs. */
export function nameOf(object: ObjectOf[TableName] | undefined): string | undefined {
  if (object === undefined || !('spec' in object) || !('name' in object.spec)) return undefined;
  const isFormer = 'replacedAt' in object && object.replacedAt !== undefined;
  return isFormer ? undefined : object.spec.name;
}

/** Reads of the tables as they are now; iterables are live. */
export class TableView implements ReadView {
  protected readonly tables: Tables;

  constructor(tables: Tables) {
    this.tables = tables;
  }

  get version(): number {
    return this.tables.version;
  }

  get<T extends TableName>(table: T, id: ObjectOf[T]['id']): ObjectOf[T] | undefined {
    return this.tables.rows[table].get(id);
  }

  list<T extends TableName>(table: T): Iterable<ObjectOf[T]> {
    return this.tables.rows[table].values();
  }

  count(table: TableName): number {
    return this.tables.rows[table].size;
  }

  writesOf(table: TableName): number {
    return this.tables.writes[table];
  }

  tasksWrittenSince(mark: number | undefined): Written<TaskId> {
    return this.tables.taskJournal.since(mark);
  }

  nodesWrittenSince(mark: number | undefined): Written<NodeId> {
    return this.tables.nodeJournal.since(mark);
  }

  serviceByName(name: string): Service | undefined {
    return this.tables.names.service.get(name);
  }

  networkByName(name: string): Network | undefined {
    return this.tables.names.network.get(name);
  }

  secretByName(name: string): Secret | undefined {
    return this.tables.names.secret.get(name);
  }

  configByName(name: string): Config | undefined {
    return this.tables.names.config.get(name);
  }

  tasksByService(id: ServiceId): Iterable<Task> {
    return this.tables.tasks(this.tables.tasksByService.get(id));
  }

  tasksByNode(id: NodeId): Iterable<Task> {
    return this.tables.tasks(this.tables.tasksByNode.get(id));
  }
}
