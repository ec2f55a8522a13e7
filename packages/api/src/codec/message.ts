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
import type protobuf from 'protobufjs';

import { fullName, protoRoot } from '../proto-root.ts';
import { fieldCodec, type FieldCodec } from './field.ts';
import { objectMaker } from './make-object.ts';
import { Misfit, type ValueCodec } from './scalar.ts';
import { Malformed, WIRE, WireReader } from './wire-reader.ts';
import { written, type WireWriter } from './wire-writer.ts';

export interface MessageCodec<T> {
  /** @throws SwarmError `invalid-argument` naming the field, when a value does not fit. */
  encode(value: T): Uint8Array;
  /** @throws SwarmError `invalid-argument` when the bytes are no such message. */
  decode(bytes: Uint8Array): T;
}

type Fields = Record<string, unknown>;

/** Model shapes that differ from their message: applied before encoding and after decoding. */
export interface Adapter {
  toWire(value: Fields): Fields;
  fromWire(value: Fields): Fields;
}

/** Encodes what a field holds. */
type EncodePart = (value: object) => Uint8Array;

const adapters = new Map<string, Adapter>();
const parts = new Map<string, EncodePart>();
const shared = new Set<string>();
const repeating = new Set<string>();
const shapes = new Map<protobuf.Type, ValueCodec>();

/** Must be called before the first use of the message; `name` as in `messageCodec`. */
export function adaptMessage(name: string, adapter: Adapter): void {
  adapters.set(`.${fullName(name)}`, adapter);
}

/** Must be called before the first use of the message. `encode` remembers what it has encoded. */
export function encodePart(name: string, field: string, encode: EncodePart): void {
  parts.set(`.${fullName(name)}.${field}`, encode);
}

/**
 * Lists of the message that many messages have in common: the same list is encoded once. Must be
 * called before the first use of the message.
 */
export function shareLists(name: string, fields: readonly string[]): void {
  for (const field of fields) shared.add(`.${fullName(name)}.${field}`);
}

/**
 * The same message is in thousands of others: what was read lately is read once, and is one object in
 * memory. Messages are immutable, so that is not visible. Must be called before the first use.
 */
export function shareRepeated(name: string): void {
  repeating.add(`.${fullName(name)}`);
}

/** "Task" in our package, or a full name. The proto files are parsed at the first use. */
export function messageCodec<T>(name: string): MessageCodec<T> {
  let known: ValueCodec | undefined;
  const shape = (): ValueCodec => (known ??= shapeOf(protoRoot().lookupType(fullName(name))));
  const encode = (value: T): Uint8Array =>
    placed(name, () => written((writer) => shape().write(value, writer)));
  const decode = (bytes: Uint8Array): T =>
    placed(name, () => shape().read(new WireReader(bytes))) as T;
  return rememberingKinds({ encode, decode });
}

/**
 * Messages that are nothing but their kind, as heartbeats are, come by the thousand a second: each is
 * encoded and decoded once.
 */
function rememberingKinds<T>(codec: MessageCodec<T>): MessageCodec<T> {
  const encoded = new Map<string, Uint8Array>();
  const decoded = new Map<number, T>();
  return {
    encode: (value) => {
      const kind = onlyKindOf(value);
      if (kind === undefined) return codec.encode(value);
      let bytes = encoded.get(kind);
      if (bytes === undefined) encoded.set(kind, (bytes = codec.encode(value)));
      return bytes;
    },
    decode: (bytes) => {
      // The number of a field of less than 16, and that there is nothing in it.
      if (bytes.length !== 2 || bytes[1] !== 0) return codec.decode(bytes);
      const tag = bytes[0] ?? 0;
      const known = decoded.get(tag);
      if (known !== undefined) return known;
      const value = codec.decode(bytes);
      if (onlyKindOf(value) !== undefined) decoded.set(tag, Object.freeze(value));
      return value;
    },
  };
}

function onlyKindOf(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  for (const name in value) if (name !== 'kind') return undefined;
  const { kind } = value as { kind?: unknown };
  return typeof kind === 'string' ? kind : undefined;
}

function placed<T>(name: string, convert: () => T): T {
  try {
    return convert();
  } catch (error) {
    if (error instanceof Malformed) {
      const what = name.slice(name.lastIndexOf('.') + 1);
      throw new SwarmError('invalid-argument', `these bytes are no ${what}`, { cause: error });
    }
    if (!(error instanceof Misfit)) throw error;
    throw new SwarmError('invalid-argument', `${name}${error.place}: ${error.message}`);
  }
}

/** The fields of a message, without its length. */
function shapeOf(type: protobuf.Type): ValueCodec {
  let shape = shapes.get(type);
  if (shape === undefined) {
    const compiled = type.oneofs?.['kind'] === undefined ? new Shape(type) : unionCodec(type);
    shape = adapt(type, compiled);
    shapes.set(type, shape);
  }
  return shape;
}

function adapt(type: protobuf.Type, shape: ValueCodec): ValueCodec {
  const adapter = adapters.get(type.fullName);
  if (adapter === undefined) return shape;
  return {
    wire: WIRE.delimited,
    zero: undefined,
    write: (value, writer) => shape.write(adapter.toWire(value as Fields), writer),
    read: (reader) => adapter.fromWire(shape.read(reader) as Fields),
  };
}

/** A message within another one: its length, then its fields. */
function nested(type: protobuf.Type): ValueCodec {
  let known: ValueCodec | undefined;
  const shape = (): ValueCodec => (known ??= shapeOf(type));
  return {
    wire: WIRE.delimited,
    write: (value, writer) => {
      const begin = writer.begin();
      shape().write(value, writer);
      writer.end(begin);
    },
    read: repeating.has(type.fullName)
      ? readRepeated((reader) => reader.delimited(shape().read))
      : (reader) => reader.delimited(shape().read),
    zero: undefined,
  };
}

/** What differs in thousands of messages is not worth more; when it is full it starts anew. */
const RECENT_MAX = 256;

function readRepeated(read: ValueCodec['read']): ValueCodec['read'] {
  const recent = new Map<string, unknown>();
  return (reader) => {
    const bytes = reader.ahead();
    const known = recent.get(bytes);
    if (known !== undefined) {
      reader.skip(WIRE.delimited);
      return known;
    }
    const value = read(reader);
    if (recent.size >= RECENT_MAX) recent.clear();
    recent.set(bytes, value);
    return value;
  };
}

class Shape implements ValueCodec {
  readonly wire = WIRE.delimited;
  readonly zero = undefined;
  readonly #name: string;
  /** Names the kind in unions, which is not on the wire. */
  readonly #kind: string | undefined;
  readonly #fields: readonly FieldCodec[];
  readonly #byName: ReadonlyMap<string, FieldCodec>;
  /** Where in `#fields` a field is, by its number on the wire. */
  readonly #placeOf: number[] = [];
  /** What is read before anything is: one place for each field. */
  readonly #nothing: readonly unknown[];
  readonly #make: (items: readonly unknown[]) => Fields;

  constructor(type: protobuf.Type, kind?: string) {
    this.#name = type.name;
    this.#kind = kind;
    this.#fields = type.fieldsArray.map((field) =>
      fieldCodec(field, {
        nested,
        part: parts.get(`${type.fullName}.${field.name}`),
        isShared: shared.has(`${type.fullName}.${field.name}`),
      }),
    );
    this.#nothing = this.#fields.map(() => undefined);
    const names = this.#fields.map(({ name }) => name);
    this.#make = objectMaker(names, kind);
    this.#byName = new Map(this.#fields.map((field) => [field.name, field]));
    for (const [at, { number }] of this.#fields.entries()) this.#placeOf[number] = at;
  }

  readonly write = (value: unknown, writer: WireWriter): void => {
    if (typeof value !== 'object' || value === null) throw new Misfit(`is not a ${this.#name}`);
    let place = '';
    try {
      for (const name in value) {
        const item = (value as Fields)[name];
        if (item === undefined) continue;
        const field = this.#byName.get(name);
        if (field === undefined) {
          if (name === 'kind' && this.#kind !== undefined) continue;
          throw new AssertionError(`${this.#name}.${name} is missing in the proto files`);
        }
        place = field.place;
        field.write(item, writer);
      }
    } catch (error) {
      throw error instanceof Misfit && place !== '' ? error.inside(place) : error;
    }
  };

  readonly read = (reader: WireReader): Fields => {
    const items = this.#nothing.slice();
    while (!reader.isAtEnd) {
      const tag = reader.varint();
      const at = this.#placeOf[Math.floor(tag / 8)];
      if (at === undefined) reader.skip(tag % 8);
      else this.#readField(at, items, { reader, wire: tag % 8 });
    }
    const fields = this.#fields;
    for (let at = 0; at < items.length; at += 1) items[at] ??= fields[at]?.absent();
    return this.#make(items);
  };

  #readField(at: number, items: unknown[], from: { reader: WireReader; wire: number }): void {
    const field = this.#fields[at] as FieldCodec;
    try {
      items[at] = field.read(from.reader, { wire: from.wire, before: items[at] });
    } catch (error) {
      throw error instanceof Misfit ? error.inside(field.place) : error;
    }
  }
}

/** `{ kind: 'status-ack', ...fields }` in the model is the message's field `statusAck` on the wire. */
function unionCodec(type: protobuf.Type): ValueCodec {
  const kinds = new Map(
    type.fieldsArray.map((field) => {
      const kind = kebab(field.name);
      const message = field.resolvedType as protobuf.Type;
      return [
        kind,
        { number: field.id, place: `.${field.name}`, record: new Shape(message, kind) },
      ];
    }),
  );
  const byNumber = new Map([...kinds.values()].map((member) => [member.number, member]));
  const unknown = (): Misfit => new Misfit(`is none of ${[...kinds.keys()].join(', ')}`);
  return {
    wire: WIRE.delimited,
    write: (value, writer) => {
      const member = kinds.get((value as { kind: string }).kind);
      if (member === undefined) throw unknown();
      writer.varint(member.number * 8 + WIRE.delimited);
      const begin = writer.begin();
      inside(member.place, () => member.record.write(value, writer));
      writer.end(begin);
    },
    read: (reader) => {
      let value: unknown;
      while (!reader.isAtEnd) {
        const tag = reader.varint();
        const member = byNumber.get(Math.floor(tag / 8));
        if (member === undefined) reader.skip(tag % 8);
        else value = inside(member.place, () => reader.delimited(member.record.read));
      }
      if (value === undefined) throw unknown();
      return value;
    },
    zero: undefined,
  };
}

function inside<T>(place: string, convert: () => T): T {
  try {
    return convert();
  } catch (error) {
    throw error instanceof Misfit ? error.inside(place) : error;
  }
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
