/**
 * The parsed proto files as FileDescriptorProtos (google/protobuf/descriptor.proto), one a package.
 * protobufjs has an exporter, but what it writes is refused by Go's strict reader (names of map
 * entries, `optional`), and so by grpcurl.
 */
import { AssertionError } from '@swarmd/base';
import protobuf from 'protobufjs';
import descriptor from 'protobufjs/ext/descriptor/index.js';

import { packageFileName } from '../proto-root.ts';

/** FieldDescriptorProto.Type of the types in use. */
const SCALAR_TYPES: Readonly<Record<string, number>> = {
  double: 1,
  int64: 3,
  uint64: 4,
  int32: 5,
  bool: 8,
  string: 9,
  bytes: 12,
  uint32: 13,
};
const MESSAGE_TYPE = 11;
const ENUM_TYPE = 14;
const OPTIONAL_LABEL = 1;
const REPEATED_LABEL = 3;

/** Serialized, by file name. */
export function describeFiles(root: protobuf.Root): Map<string, Uint8Array> {
  const found = new Map<string, Uint8Array>();
  const visit = (namespace: protobuf.NamespaceBase): void => {
    const parts = partsOf(namespace);
    if (Object.values(parts).some((list) => list.length > 0)) {
      found.set(packageFileName(namespace), describeFile(namespace, parts));
    }
    for (const nested of namespace.nestedArray) {
      const isPackage = nested instanceof protobuf.Namespace && !(nested instanceof protobuf.Type);
      if (isPackage && !(nested instanceof protobuf.Service)) visit(nested);
    }
  };
  visit(root);
  return found;
}

interface Parts {
  readonly types: readonly protobuf.Type[];
  readonly enums: readonly protobuf.Enum[];
  readonly services: readonly protobuf.Service[];
}

function partsOf(namespace: protobuf.NamespaceBase): Parts {
  const all = namespace.nestedArray;
  return {
    types: all.filter((item) => item instanceof protobuf.Type),
    enums: all.filter((item) => item instanceof protobuf.Enum),
    services: all.filter((item) => item instanceof protobuf.Service),
  };
}

function describeFile(namespace: protobuf.NamespaceBase, parts: Parts): Uint8Array {
  const file = descriptor.FileDescriptorProto.fromObject({
    name: packageFileName(namespace),
    package: namespace.fullName.slice(1),
    messageType: parts.types.map((type) => describeType(type)),
    enumType: parts.enums.map((type) => describeEnum(type)),
    service: parts.services.map((service) => describeService(service)),
    syntax: 'proto3',
  });
  return descriptor.FileDescriptorProto.encode(file).finish();
}

function describeType(type: protobuf.Type): object {
  const { types, enums } = partsOf(type);
  // Real oneofs come first: protoc has the synthetic ones of `optional` fields last.
  const isSynthetic = (oneof: protobuf.OneOf): boolean => oneof.fieldsArray.some(isOptional);
  const oneofs = type.oneofsArray.toSorted((a, b) => +isSynthetic(a) - +isSynthetic(b));
  const maps = type.fieldsArray.filter((field) => field instanceof protobuf.MapField);
  return {
    name: type.name,
    field: type.fieldsArray.map((field) => describeField(field, oneofs)),
    nestedType: [...types.map((nested) => describeType(nested)), ...maps.map(describeMapEntry)],
    enumType: enums.map((nested) => describeEnum(nested)),
    oneofDecl: oneofs.map(({ name }) => ({ name })),
  };
}

function isOptional(field: protobuf.Field): boolean {
  return field.getOption('proto3_optional') === true;
}

function describeField(field: protobuf.Field, oneofs: readonly protobuf.OneOf[]): object {
  const repeated = field.repeated || field.map;
  return {
    name: snake(field.name),
    jsonName: field.name,
    number: field.id,
    label: repeated ? REPEATED_LABEL : OPTIONAL_LABEL,
    ...(field instanceof protobuf.MapField
      ? { type: MESSAGE_TYPE, typeName: `${field.parent?.fullName ?? ''}.${entryName(field)}` }
      : typeOf(field)),
    ...(field.partOf === null ? {} : { oneofIndex: oneofs.indexOf(field.partOf) }),
    ...(isOptional(field) ? { proto3Optional: true } : {}),
  };
}

function typeOf(field: Pick<protobuf.Field, 'type' | 'resolvedType'>): object {
  const { resolvedType } = field;
  if (resolvedType instanceof protobuf.Enum) {
    return { type: ENUM_TYPE, typeName: resolvedType.fullName };
  }
  if (resolvedType !== null) return { type: MESSAGE_TYPE, typeName: resolvedType.fullName };
  const type = SCALAR_TYPES[field.type];
  if (type === undefined) throw new AssertionError(`type ${field.type} has no number here`);
  return { type };
}

/** A map is a repeated message of key and value, whose name is prescribed. */
function describeMapEntry(field: protobuf.MapField): object {
  const part = { label: OPTIONAL_LABEL };
  return {
    name: entryName(field),
    field: [
      { ...part, name: 'key', jsonName: 'key', number: 1, type: SCALAR_TYPES[field.keyType] },
      { ...part, name: 'value', jsonName: 'value', number: 2, ...typeOf(field) },
    ],
    options: { mapEntry: true },
  };
}

function entryName(field: { readonly name: string }): string {
  return `${field.name.charAt(0).toUpperCase()}${field.name.slice(1)}Entry`;
}

function describeEnum(type: protobuf.Enum): object {
  return {
    name: type.name,
    value: Object.entries(type.values).map(([name, number]) => ({ name, number })),
  };
}

function describeService(service: protobuf.Service): object {
  return {
    name: service.name,
    method: service.methodsArray.map((method) => ({
      name: method.name,
      inputType: method.resolvedRequestType?.fullName,
      outputType: method.resolvedResponseType?.fullName,
      clientStreaming: method.requestStream === true,
      serverStreaming: method.responseStream === true,
    })),
  };
}

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
