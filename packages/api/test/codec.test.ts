import { errorCode } from '@swarmd/base';
import {
  TABLE_NAMES,
  serviceSpec,
  type Change,
  type NodeId,
  type TableName,
  type Task,
  type TaskId,
} from '@swarmd/model';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { messageCodec } from '../src/codec/message.ts';
import {
  decodeChanges,
  decodeObject,
  diffAssignments,
  encodeChanges,
  encodeObject,
  type AgentMessage,
  type ManagerMessage,
} from '../src/index.ts';
import { protoRoot } from '../src/proto-root.ts';
import { assignmentSets } from './support/assignments.ts';
import { descriptions, id, OBJECTS, taskStatuses } from './support/objects.ts';
import { SPEC_SCHEMAS, specFields } from './support/schemas.ts';
import {
  clusterSpecs,
  configSpecs,
  networkSpecs,
  nodeSpecs,
  secretSpecs,
  serviceSpecs,
  text,
  uint,
} from './support/specs.ts';

function roundTrip<T>(name: string, values: fc.Arbitrary<T>): () => void {
  const codec = messageCodec<T>(name);
  return () =>
    fc.assert(
      fc.property(values, (value) => {
        expect(codec.decode(codec.encode(value))).toEqual(value);
      }),
      { numRuns: 60 },
    );
}

describe('what is decoded is what was encoded', () => {
  it.each(TABLE_NAMES)('%s', (table: TableName) => {
    const objects = OBJECTS[table] as fc.Arbitrary<never>;
    fc.assert(
      fc.property(objects, (object) => {
        expect(decodeObject(encodeObject(table, object))).toEqual({ table, object });
      }),
      { numRuns: 60 },
    );
  });

  it.each(TABLE_NAMES)('%s, also by another implementation in between', (table: TableName) => {
    const type = protoRoot().lookupType('swarm.v1.Object');
    const objects = OBJECTS[table] as fc.Arbitrary<never>;
    fc.assert(
      fc.property(objects, (object) => {
        const bytes = type.encode(type.decode(encodeObject(table, object))).finish();
        expect(decodeObject(bytes)).toEqual({ table, object });
      }),
      { numRuns: 30 },
    );
  });

  it('changes, with and without a request id', () => {
    const change = fc.constantFrom(...TABLE_NAMES).chain((table) =>
      fc.oneof(
        (OBJECTS[table] as fc.Arbitrary<object>).map((object) => ({ kind: 'put', table, object })),
        id().map((id) => ({ kind: 'delete', table, id })),
      ),
    ) as fc.Arbitrary<Change>;
    fc.assert(
      fc.property(
        fc.array(change, { maxLength: 4 }),
        fc.option(text, { nil: undefined }),
        (changes, id) => {
          const extra = { requests: id === undefined ? [] : [{ id, answer: `of ${id}`, at: 7 }] };
          expect(decodeChanges(encodeChanges(changes, extra))).toEqual({ changes, ...extra });
        },
      ),
      { numRuns: 60 },
    );
  });

  it('reasons that many tasks have in common, as one object', () => {
    const [task] = fc.sample(OBJECTS.task, { numRuns: 1, seed: 1 });
    if (task === undefined) throw new Error('no task');
    const waitsFor = (number: number): Task => {
      const why = { code: 'no-suitable-node', message: `no node of ${number % 3} takes it`, at: 5 };
      return { ...task, because: [why, { ...why, message: `reason ${number}`, at: number }] };
    };
    const tasks = Array.from({ length: 600 }, (_, number) => waitsFor(number));
    const { changes } = decodeChanges(
      encodeChanges(tasks.map((object) => ({ kind: 'put', table: 'task', object }))),
    );
    const decoded = changes.map((change) => (change.kind === 'put' ? change.object : undefined));
    expect(decoded).toEqual(tasks);
    const first = (number: number): unknown => (decoded[number] as Task).because[0];
    expect(first(30)).toBe(first(0));
    expect(first(31)).not.toBe(first(0));
  });

  it('messages of agents', () => {
    const messages: fc.Arbitrary<AgentMessage> = fc.oneof(
      fc.record({
        kind: fc.constant('hello'),
        description: descriptions,
        address: text,
        agentAddress: text,
      }),
      fc.record({ kind: fc.constant('heartbeat') }),
      fc.record({
        kind: fc.constant('statuses'),
        sequence: uint,
        updates: fc.array(fc.record({ taskId: id<TaskId>(), status: taskStatuses }), {
          maxLength: 3,
        }),
      }),
      fc.record({ kind: fc.constant('applied'), version: uint }),
    );
    expect(roundTrip('AgentMessage', messages)).not.toThrow();
  });

  it('messages of managers, assignments among them', () => {
    const deltas = fc
      .tuple(fc.option(assignmentSets, { nil: undefined }), assignmentSets)
      .map(([before, after]) => diffAssignments(before, after))
      .filter((delta) => delta !== undefined);
    const messages: fc.Arbitrary<ManagerMessage> = fc.oneof(
      fc.record({ kind: fc.constant('welcome'), sessionId: text, heartbeatPeriodMs: uint }),
      fc.record({
        kind: fc.constant('managers'),
        managers: fc.array(fc.record({ nodeId: id<NodeId>(), address: text }), { maxLength: 3 }),
      }),
      fc.record({ kind: fc.constant('assignments'), delta: deltas, version: uint }),
      fc.record({ kind: fc.constant('heartbeat') }),
      fc.record({ kind: fc.constant('status-ack'), sequence: uint }),
    );
    expect(roundTrip('ManagerMessage', messages)).not.toThrow();
  });
});

const SPECS: Record<keyof typeof SPEC_SCHEMAS, fc.Arbitrary<object>> = {
  ClusterSpec: clusterSpecs,
  ConfigSpec: configSpecs,
  NetworkSpec: networkSpecs,
  NodeSpec: nodeSpecs,
  SecretSpec: secretSpecs,
  ServiceSpec: serviceSpecs,
};

describe('a spec with fields left out', () => {
  /** Removes every property that `drop` chooses and `valid` can do without, at any depth. */
  function thin(value: unknown, drop: () => boolean, valid: () => boolean): void {
    if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return;
    for (const [key, item] of Object.entries(value)) {
      thin(item, drop, valid);
      if (Array.isArray(value) || !drop()) continue;
      Reflect.deleteProperty(value, key);
      if (!valid()) Reflect.set(value, key, item);
    }
  }

  it.each(Object.keys(SPECS))('%s arrives as its schema reads it', (name) => {
    const schema = SPEC_SCHEMAS[name]!;
    const codec = messageCodec<unknown>(name);
    fc.assert(
      fc.property(SPECS[name]!, fc.infiniteStream(fc.boolean()), (spec, drops) => {
        const input = structuredClone(spec);
        thin(
          input,
          () => drops.next().value as boolean,
          () => schema.safeParse(input).success,
        );
        expect(codec.decode(codec.encode(input))).toEqual(schema.safeParse(input).data);
      }),
      { numRuns: 60 },
    );
  });

  it('has the default of its schema, for every single field', () => {
    for (const { message, field, value } of specFields()) {
      const codec = messageCodec<Record<string, unknown>>(message);
      const nothing = message === 'ServiceMode' ? { kind: 'replicated' } : {};
      const decoded = codec.decode(codec.encode(nothing));
      expect(decoded[field], `${message}.${field}`).toEqual(value);
    }
    expect(specFields().length).toBeGreaterThan(60);
  });

  it('tells nothing from zero: an update of none at a time is one of all', () => {
    const codec = messageCodec<object>('ServiceSpec');
    const minimal = { name: 'web', task: { container: { image: 'nginx' } } };
    const given = { ...minimal, mode: { kind: 'replicated', replicas: 0 } };
    expect(codec.decode(codec.encode(minimal))).toEqual(serviceSpec.parse(minimal));
    expect(codec.decode(codec.encode(minimal))).toMatchObject({ update: { parallelism: 1 } });
    expect(codec.decode(codec.encode({ ...given, update: { parallelism: 0 } }))).toMatchObject({
      mode: { replicas: 0 },
      update: { parallelism: 0, monitorMs: 5_000 },
    });
  });

  it('does not hide that a required field is missing', () => {
    const codec = messageCodec<object>('ServiceSpec');
    expect(serviceSpec.safeParse(codec.decode(codec.encode({}))).success).toBe(false);
    const node = messageCodec<object>('NodeSpec');
    expect(SPEC_SCHEMAS['NodeSpec']!.safeParse(node.decode(node.encode({}))).success).toBe(false);
  });
});

function outcomeOf(work: () => unknown): string {
  try {
    work();
    return 'decoded';
  } catch (error) {
    return errorCode(error);
  }
}

describe('what does not fit', () => {
  const status = messageCodec<object>('TaskStatus');

  it.each([
    [{ state: 'sleeping' }, /TaskStatus.state: "sleeping" is not one of new, pending/],
    [{ timestamp: -1 }, /timestamp: -1 is not a whole number/],
    [{ timestamp: 1.5 }, /timestamp: 1.5 is not a whole number/],
    [{ pid: 2 ** 32 }, /pid: 4294967296 is not/],
    [{ exitCode: 2 ** 31 }, /exitCode/],
    [{ message: 3 }, /message: 3 is not a text/],
  ])('%j is refused by name', (value, message) => {
    expect(() => status.encode(value)).toThrow(message);
    expect(() => status.encode(value)).toThrow(
      expect.objectContaining({ code: 'invalid-argument' }) as Error,
    );
  });

  it('a property without a field is a broken invariant, not lost', () => {
    expect(() => status.encode({ mood: 'good' })).toThrow(
      /TaskStatus.mood is missing in the proto/,
    );
  });

  it('bytes that are no such message, and kinds and states of the future', () => {
    expect(() => status.decode(Buffer.from([0xff, 0xff]))).toThrow(/no TaskStatus/);
    expect(() => status.decode(Buffer.from([8, 5]))).toThrow(/state: 5 is not one of/);
    expect(() => messageCodec('AgentMessage').decode(Buffer.from([]))).toThrow(
      /none of hello, heartbeat, statuses/,
    );
    expect(() => decodeChanges(Buffer.from([0xff]))).toThrow(
      expect.objectContaining({ code: 'data-loss' }) as Error,
    );
  });

  it('bytes that end early or were changed are refused by name, whatever they are', () => {
    const codec = messageCodec<object>('Task');
    const change = fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 }));
    fc.assert(
      fc.property(OBJECTS.task, fc.nat(), change, (task, length, [at, byte]) => {
        const bytes = codec.encode(task);
        const damaged = bytes.slice(0, length % (bytes.length + 1));
        if (damaged.length > 0) damaged[at % damaged.length] = byte;
        expect(['decoded', 'invalid-argument']).toContain(outcomeOf(() => codec.decode(damaged)));
      }),
    );
  });

  it('numbers of either sign and any size, and texts of any length, pass', () => {
    const numbers = messageCodec<object>('PortConfig');
    expect(numbers.decode(numbers.encode({ targetPort: 2 ** 32 - 1 }))).toMatchObject({
      targetPort: 2 ** 32 - 1,
    });
    const codec = messageCodec<object>('TaskStatus');
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme', maxLength: 300 }),
        fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
        fc.maxSafeNat(),
        (message, exitCode, timestamp) => {
          const status = { message, exitCode, timestamp };
          expect(codec.decode(codec.encode(status))).toMatchObject(status);
        },
      ),
    );
  });

  it('numbers beyond 2^53 are refused, not rounded', () => {
    const type = protoRoot().lookupType('swarm.v1.TaskStatus');
    const bytes = type.encode(type.fromObject({ timestamp: '9007199254740993' })).finish();
    expect(() => status.decode(bytes)).toThrow(/timestamp/);
  });
});

it('keeps no window into the bytes it decodes', () => {
  const secret = { name: 'a', labels: {}, data: new Uint8Array([1, 2, 3]) };
  const codec = messageCodec<typeof secret>('SecretSpec');
  const { data } = codec.decode(codec.encode(secret));
  expect(data.buffer.byteLength).toBe(3);
  expect(data).not.toBeInstanceOf(Buffer);
});
