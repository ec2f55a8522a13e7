/**
 * Messages between model and wire, driven by the proto files: field names are the model's, so that a
 * codec is compiled from the message's description and no table can fall behind. Rules:
 *
 * - An object with a property that its message lacks is refused: forgetting a field is loud.
 * - A field that is not set becomes: its spec default; nothing, if it is `optional` or in a oneof; an
 *   empty message; or zero, '', [], {}.
 * - A oneof called `kind` is a union in the model: `{ kind: 'status-ack', sequence }`.
 */
import { AssertionError, SwarmError } from '@swarmd/base';
import protobuf from 'protobufjs';

import { fullName, protoRoot } from '../proto-root.ts';
import { acceptEncoded } from './encode-once.ts';
import { enumCodec, Misfit, scalarCodec, type Convert, type ValueCodec } from './scalar.ts';
import { specDefaults } from './spec-defaults.ts';

export interface MessageCodec<T> {
  /** @throws SwarmError `invalid-argument` naming the field, when a value does not fit. */
  encode(value: T): Uint8Array;
  /** @throws SwarmError `invalid-argument` when the bytes are no such message. */
  decode(bytes: Uint8Array): T;
}

type Fields = Record<string, unknown>;

interface FieldCodec {
  readonly name: string;
  /** In the places of errors: ".name". */
  readonly part: string;
  readonly toWire: Convert;
  readonly fromWire: Convert;
  /** Value of an absent field; undefined: the property is left out. */
  readonly absent: () => unknown;
}

/** Model shapes that differ from their message: applied before encoding and after decoding. */
export interface Adapter {
  toWire(value: Fields): Fields;
  fromWire(value: Fields): Fields;
}

const adapters = new Map<string, Adapter>();
const encoders = new Map<string, { field: string; encode: (value: object) => Uint8Array }>();
const shapes = new Map<protobuf.Type, ValueCodec>();

/** Must be called before the first use of the message; `name` as in `messageCodec`. */
export function adaptMessage(name: string, adapter: Adapter): void {
  adapters.set(`.${fullName(name)}`, adapter);
}

/** Must be called before the first use of the message. `encode` remembers what it has encoded. */
export function encodePart(
  name: string,
  part: { field: string; encode: (value: object) => Uint8Array },
): void {
  encoders.set(`.${fullName(name)}`, part);
}

/** "Task" in our package, or a full name. The proto files are parsed at the first use. */
export function messageCodec<T>(name: string): MessageCodec<T> {
  let type: protobuf.Type | undefined;
  const resolve = (): protobuf.Type => (type ??= protoRoot().lookupType(fullName(name)));
  return {
    encode(value) {
      const message = placed(name, () => shapeOf(resolve()).toWire(value)) as Fields;
      return resolve().encode(message).finish();
    },
    decode(bytes) {
      const message = parse(resolve(), bytes);
      return placed(name, () => shapeOf(resolve()).fromWire(message)) as T;
    },
  };
}

function placed<T>(name: string, convert: () => T): T {
  try {
    return convert();
  } catch (error) {
    if (!(error instanceof Misfit)) throw error;
    throw new SwarmError('invalid-argument', `${name}${error.place}: ${error.message}`);
  }
}

/** `convert(value)`, with the place added to what goes wrong. */
function at(part: string, convert: Convert, value: unknown): unknown {
  try {
    return convert(value);
  } catch (error) {
    throw error instanceof Misfit ? error.inside(part) : error;
  }
}

function parse(type: protobuf.Type, bytes: Uint8Array): unknown {
  try {
    return type.decode(bytes);
  } catch (cause) {
    throw new SwarmError('invalid-argument', `these bytes are no ${type.name}`, { cause });
  }
}

function shapeOf(type: protobuf.Type): ValueCodec {
  let shape = shapes.get(type);
  if (shape === undefined) {
    shape = adapt(type, compile(type));
    shapes.set(type, shape);
  }
  return shape;
}

function adapt(type: protobuf.Type, shape: ValueCodec): ValueCodec {
  const adapter = adapters.get(type.fullName);
  if (adapter === undefined) return shape;
  return {
    toWire: (value) => shape.toWire(adapter.toWire(value as Fields)),
    fromWire: (value) => adapter.fromWire(shape.fromWire(value) as Fields),
    zero: undefined,
  };
}

function compile(type: protobuf.Type): ValueCodec {
  const part = encoders.get(type.fullName);
  if (part !== undefined) acceptEncoded(type, part.field);
  const fields = type.fieldsArray.map((field) => {
    const codec = fieldCodec(type, field);
    if (field.name !== part?.field) return codec;
    return { ...codec, toWire: (value: unknown) => part.encode(value as object) };
  });
  const record = recordCodec(type, fields);
  return type.oneofs?.['kind'] === undefined ? record : unionCodec(type, record);
}

function recordCodec(type: protobuf.Type, fields: readonly FieldCodec[]): ValueCodec {
  const byName = new Map(fields.map((field) => [field.name, field]));
  return {
    toWire(value) {
      if (typeof value !== 'object' || value === null) throw new Misfit(`is not a ${type.name}`);
      const message: Fields = {};
      for (const [name, item] of Object.entries(value)) {
        if (item === undefined) continue;
        const field = byName.get(name);
        if (field === undefined) {
          throw new AssertionError(`${type.name}.${name} is missing in the proto files`);
        }
        message[name] = at(field.part, field.toWire, item);
      }
      return message;
    },
    fromWire(message) {
      const value: Fields = {};
      for (const field of fields) {
        const item = Object.hasOwn(message as Fields, field.name)
          ? at(field.part, field.fromWire, (message as Fields)[field.name])
          : field.absent();
        if (item !== undefined) value[field.name] = item;
      }
      return value;
    },
    zero: undefined,
  };
}

/** `{ kind: 'status-ack', ...fields }` in the model is the message's field `statusAck` on the wire. */
function unionCodec(type: protobuf.Type, record: ValueCodec): ValueCodec {
  const kinds = new Map(type.fieldsArray.map((field) => [kebab(field.name), field.name]));
  return {
    toWire(value) {
      const { kind, ...rest } = value as Fields & { kind: string };
      const name = kinds.get(kind);
      if (name === undefined) throw unknownKind(kinds);
      return record.toWire({ [name]: rest });
    },
    fromWire(message) {
      const [[name, rest] = []] = Object.entries(record.fromWire(message) as Fields);
      if (name === undefined) throw unknownKind(kinds);
      return { kind: kebab(name), ...(rest as Fields) };
    },
    zero: undefined,
  };
}

function unknownKind(kinds: ReadonlyMap<string, string>): Misfit {
  return new Misfit(`is none of ${[...kinds.keys()].join(', ')}`);
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function fieldCodec(type: protobuf.Type, field: protobuf.Field): FieldCodec {
  const single = valueCodec(field);
  const defaults = specDefaults(type.name);
  const { name } = field;
  const part = `.${name}`;
  if (field.map) return { name, part, ...mapCodec(single), absent: () => defaults[name] ?? {} };
  if (field.repeated) {
    return { name, part, ...listCodec(single), absent: () => defaults[name] ?? [] };
  }
  const mayBeMissing = field.partOf !== null || field.getOption('proto3_optional') === true;
  const empty = field.resolvedType instanceof protobuf.Type ? field.resolvedType : undefined;
  // Values are immutable, so all that lack the field share one.
  let nothing: unknown;
  const absent = (): unknown => {
    if (Object.hasOwn(defaults, name)) return defaults[name];
    if (mayBeMissing) return undefined;
    if (empty === undefined) return single.zero;
    return (nothing ??= single.fromWire(empty.create()));
  };
  // An enum that is sent as "unspecified" is not set.
  const fromWire: Convert =
    single.zero === '' && field.type !== 'string'
      ? (value) => (value === 0 ? absent() : single.fromWire(value))
      : single.fromWire;
  return { name, part, toWire: single.toWire, fromWire, absent };
}

function valueCodec(field: protobuf.Field): ValueCodec {
  const nested = field.resolvedType;
  if (nested instanceof protobuf.Enum) return enumCodec(nested);
  if (nested === null) return scalarCodec(field.type);
  let shape: ValueCodec | undefined;
  return {
    toWire: (value) => (shape ??= shapeOf(nested)).toWire(value),
    fromWire: (value) => (shape ??= shapeOf(nested)).fromWire(value),
    zero: undefined,
  };
}

function listCodec(single: ValueCodec): Pick<FieldCodec, 'toWire' | 'fromWire'> {
  const each =
    (convert: Convert): Convert =>
    (list) => {
      if (!Array.isArray(list)) throw new Misfit('is not a list');
      return list.map((item, index) => at(`[${index}]`, convert, item));
    };
  return { toWire: each(single.toWire), fromWire: each(single.fromWire) };
}

function mapCodec(single: ValueCodec): Pick<FieldCodec, 'toWire' | 'fromWire'> {
  const each =
    (convert: Convert): Convert =>
    (map) =>
      Object.fromEntries(
        Object.entries(map as Fields).map(([key, item]) => [key, at(`.${key}`, convert, item)]),
      );
  return { toWire: each(single.toWire), fromWire: each(single.fromWire) };
}
