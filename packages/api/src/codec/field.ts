/** One field of a message: its number, whether there is one value or many, and what its absence means. */
import protobuf from 'protobufjs';

import { enumCodec, Misfit, scalarCodec, type ValueCodec } from './scalar.ts';
import { specDefaults } from './spec-defaults.ts';
import { Malformed, WIRE, WireReader } from './wire-reader.ts';
import { written, type WireWriter } from './wire-writer.ts';

export interface FieldCodec {
  readonly name: string;
  /** In the places of errors: ".name". */
  readonly place: string;
  /** Its number on the wire. */
  readonly number: number;
  readonly write: (value: unknown, writer: WireWriter) => void;
  /** What the field is after one more occurrence of it on the wire. */
  readonly read: (reader: WireReader, from: { wire: number; before: unknown }) => unknown;
  /** Value of an absent field; undefined: the property is left out. */
  readonly absent: () => unknown;
}

interface FieldOptions {
  /** The codec of a message within this one. */
  readonly nested: (type: protobuf.Type) => ValueCodec;
  /** Encodes the message that the field holds, and remembers. */
  readonly part: ((value: object) => Uint8Array) | undefined;
  /** The list that the field holds is in many messages. */
  readonly isShared: boolean;
}

type Body = Pick<FieldCodec, 'write' | 'read' | 'absent'>;

/** Values are immutable, so all that lack the field share one. */
const NOTHING: readonly never[] = Object.freeze([]);
const NO_ENTRIES: object = Object.freeze({});

export function fieldCodec(field: protobuf.Field, options: FieldOptions): FieldCodec {
  const { name, id: number } = field;
  const single = valueCodec(field, options);
  const head = { name, place: `.${name}`, number };
  if (field.map) return { ...head, ...mapBody(field, single) };
  const body = field.repeated ? listBody(field, single) : singleBody(field, single);
  return { ...head, ...body, write: writeKnown(field, body.write, options) };
}

/** As `write`, but for what is encoded once for many messages. */
function writeKnown(
  { id }: protobuf.Field,
  write: FieldCodec['write'],
  { part, isShared }: FieldOptions,
): FieldCodec['write'] {
  if (part !== undefined) {
    return (value, writer) => {
      writer.varint(id * 8 + WIRE.delimited);
      writer.bytes(part(value as object));
    };
  }
  if (!isShared) return write;
  const encoded = new WeakMap<object, Uint8Array>();
  return (value, writer) => {
    const list = value as readonly unknown[];
    if (list.length < WORTH_REMEMBERING) {
      write(list, writer);
      return;
    }
    let bytes = encoded.get(list);
    if (bytes === undefined) encoded.set(list, (bytes = written((own) => write(list, own))));
    writer.raw(bytes);
  };
}

/** Items that a list has at least to be encoded once for all messages that have it. */
const WORTH_REMEMBERING = 8;

function valueCodec(field: protobuf.Field, { nested }: FieldOptions): ValueCodec {
  const type = field.resolvedType;
  if (type instanceof protobuf.Enum) return enumCodec(type);
  return type === null ? scalarCodec(field.type) : nested(type);
}

function singleBody(field: protobuf.Field, single: ValueCodec): Body {
  const { name } = field;
  const defaults = specDefaults(field.parent?.name ?? '');
  const hasDefault = Object.hasOwn(defaults, name);
  const mayBeMissing = field.partOf !== null || field.getOption('proto3_optional') === true;
  const isMessage = field.resolvedType instanceof protobuf.Type;
  let nothing: unknown;
  const absent = (): unknown => {
    if (hasDefault) return defaults[name];
    if (mayBeMissing) return undefined;
    if (!isMessage) return single.zero;
    return (nothing ??= single.read(new WireReader(EMPTY_MESSAGE)));
  };
  const tag = field.id * 8 + single.wire;
  // What its absence says is not written.
  const unwritten = hasDefault || mayBeMissing || isMessage ? undefined : single.zero;
  // An enum that is sent as "unspecified" is not set.
  const isUnset = (value: unknown): boolean =>
    value === '' && field.resolvedType instanceof protobuf.Enum;
  return {
    write: (value, writer) => {
      if (value === unwritten) return;
      writer.varint(tag);
      single.write(value, writer);
    },
    read: (reader, { wire }) => {
      if (wire !== single.wire) throw new Malformed(`${field.fullName} is of another type`);
      const value = single.read(reader);
      return isUnset(value) ? absent() : value;
    },
    absent,
  };
}

/** A message of no bytes, with its length. */
const EMPTY_MESSAGE = Uint8Array.of(0);

function listBody(field: protobuf.Field, single: ValueCodec): Body {
  const fallback = specDefaults(field.parent?.name ?? '')[field.name] ?? NOTHING;
  const isPacked = single.wire !== WIRE.delimited;
  const tag = field.id * 8 + WIRE.delimited;
  const writeAll = (list: readonly unknown[], writer: WireWriter): void => {
    for (const [index, item] of list.entries()) {
      try {
        if (!isPacked) writer.varint(tag);
        single.write(item, writer);
      } catch (error) {
        throw error instanceof Misfit ? error.inside(`[${index}]`) : error;
      }
    }
  };
  return {
    write: (list, writer) => {
      if (!Array.isArray(list)) throw new Misfit('is not a list');
      if (list.length === 0) return;
      if (!isPacked) {
        writeAll(list, writer);
        return;
      }
      writer.varint(tag);
      const begin = writer.begin();
      writeAll(list, writer);
      writer.end(begin);
    },
    read: (reader, { wire, before }) => {
      const list = (before ?? []) as unknown[];
      const readOne = (): void => {
        try {
          list.push(single.read(reader));
        } catch (error) {
          throw error instanceof Misfit ? error.inside(`[${list.length}]`) : error;
        }
      };
      if (wire === single.wire) readOne();
      else if (wire !== WIRE.delimited) throw new Malformed(`${field.fullName} is of another type`);
      else {
        reader.delimited(() => {
          while (!reader.isAtEnd) readOne();
        });
      }
      return list;
    },
    absent: () => fallback,
  };
}

/** On the wire a list of entries with the key as field 1 and the value as field 2. */
function mapBody(field: protobuf.Field, single: ValueCodec): Body {
  const fallback = specDefaults(field.parent?.name ?? '')[field.name] ?? NO_ENTRIES;
  const tag = field.id * 8 + WIRE.delimited;
  const keyTag = 8 + WIRE.delimited;
  const valueTag = 16 + single.wire;
  const readEntry = (reader: WireReader): [string, unknown] => {
    let key = '';
    let value = single.zero;
    while (!reader.isAtEnd) {
      const next = reader.varint();
      if (next === keyTag) key = reader.text();
      else if (next === valueTag) value = single.read(reader);
      else reader.skip(next % 8);
    }
    return [key, value];
  };
  return {
    write: (map, writer) => {
      for (const [key, item] of Object.entries(map as object)) {
        writer.varint(tag);
        const begin = writer.begin();
        writer.varint(keyTag);
        writer.text(key);
        writer.varint(valueTag);
        try {
          single.write(item, writer);
        } catch (error) {
          throw error instanceof Misfit ? error.inside(`.${key}`) : error;
        }
        writer.end(begin);
      }
    },
    read: (reader, { wire, before }) => {
      if (wire !== WIRE.delimited) throw new Malformed(`${field.fullName} is of another type`);
      const [key, value] = reader.delimited(readEntry);
      return { ...(before as object | undefined), [key]: value };
    },
    absent: () => fallback,
  };
}
