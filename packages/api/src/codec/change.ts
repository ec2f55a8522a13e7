/**
 * Changes and objects as bytes: what managers replicate through Raft, write in snapshots and send to
 * watchers. The bytes are the wire format, so the rules of protobuf for old and new fields hold.
 */
import { SwarmError } from '@swarmd/base';
import type { Change, ObjectOf, TableName, Task, TaskSpec } from '@swarmd/model';

import { adaptMessage, messageCodec, shareRepeated } from './message.ts';
import { decodeTaskSpec, encodeTaskSpec, sharedTaskSpec } from './task-specs.ts';

adaptMessage('Change', {
  toWire(change) {
    if (change['kind'] === 'put') return { put: { [String(change['table'])]: change['object'] } };
    return { delete: { table: change['table'], id: change['id'] } };
  },
  fromWire(message) {
    if (message['delete'] !== undefined)
      return { kind: 'delete', ...(message['delete'] as object) };
    const { table, object } = fromObjectMessage(message['put'] as Record<string, unknown>);
    return { kind: 'put', table, object };
  },
});

// All tasks of a service that wait do so for the same reasons.
shareRepeated('Reason');

/** A request of a client that the changes are the effect of, with its answer. */
interface AppliedRequest {
  readonly id: string;
  readonly answer: string;
  readonly at: number;
}

interface ChangeSet {
  readonly changes: readonly Change[];
  readonly requests: readonly AppliedRequest[];
  readonly term?: number;
  /** Encoded: each spec that tasks of `changes` have. */
  readonly taskSpecs: readonly Uint8Array[];
  /** One for each change: 1 for the first of `taskSpecs`, 0 for what is no task. */
  readonly taskSpecOf: readonly number[];
}

interface ChangeSetExtra {
  readonly requests?: readonly AppliedRequest[];
  /** The Raft term whose leader decided on the changes. */
  readonly term?: number;
}

const changeSets = messageCodec<ChangeSet>('ChangeSet');
const objects = messageCodec<Record<string, unknown>>('Object');

/** One entry of the replicated log. What `extra` says is given back by decoding. */
export function encodeChanges(changes: readonly Change[], extra: ChangeSetExtra = {}): Uint8Array {
  const specs = new Map<TaskSpec, number>();
  const taskSpecOf: number[] = [];
  const lean = changes.map((change) => {
    if (change.kind === 'delete' || change.table !== 'task') {
      taskSpecOf.push(0);
      return change;
    }
    const { spec, ...rest } = change.object;
    let number = specs.get(spec);
    if (number === undefined) specs.set(spec, (number = specs.size + 1));
    taskSpecOf.push(number);
    return { ...change, object: rest } as Change;
  });
  const taskSpecs = [...specs.keys()].map(encodeTaskSpec);
  return changeSets.encode({
    changes: lean,
    requests: [],
    ...extra,
    taskSpecs,
    taskSpecOf: taskSpecs.length === 0 ? [] : taskSpecOf,
  });
}

/** @throws SwarmError `data-loss` when the bytes are no such entry. */
export function decodeChanges(
  bytes: Uint8Array,
): Omit<ChangeSet, 'changes' | 'taskSpecs' | 'taskSpecOf'> & { changes: Change[] } {
  return stored(() => {
    const { changes, taskSpecs, taskSpecOf, ...extra } = changeSets.decode(bytes);
    const specs = taskSpecs.map(decodeTaskSpec);
    return {
      changes: changes.map((change, at) => withSpec(change, specs[(taskSpecOf[at] ?? 0) - 1])),
      ...extra,
    };
  });
}

/**
 * `spec` is that of a task, which was left out of it, and is put into the task that was just read. Services share
 * theirs with their tasks.
 */
function withSpec(change: Change, spec: TaskSpec | undefined): Change {
  if (change.kind === 'delete') return change;
  if (change.table === 'task' && spec !== undefined) {
    const task: { -readonly [K in keyof Task]: Task[K] } = change.object;
    task.spec = spec;
    return change;
  }
  if (change.table !== 'service') return change;
  const { object } = change;
  const task = sharedTaskSpec(object.spec.task);
  return { ...change, object: { ...object, spec: { ...object.spec, task } } };
}

/** One object with its table, for snapshots. */
export function encodeObject<T extends TableName>(table: T, object: ObjectOf[T]): Uint8Array {
  return objects.encode({ [table]: object });
}

export type StoredObject = {
  [T in TableName]: { readonly table: T; readonly object: ObjectOf[T] };
}[TableName];

/** @throws SwarmError `data-loss` when the bytes are no object. */
export function decodeObject(bytes: Uint8Array): StoredObject {
  return stored(() => fromObjectMessage(objects.decode(bytes))) as StoredObject;
}

function fromObjectMessage(message: Record<string, unknown> | undefined): {
  table: string;
  object: unknown;
} {
  for (const table in message) return { table, object: message[table] };
  throw new SwarmError('invalid-argument', 'a change without an object');
}

function stored<T>(decode: () => T): T {
  try {
    return decode();
  } catch (cause) {
    throw new SwarmError('data-loss', 'stored changes cannot be decoded', { cause });
  }
}
