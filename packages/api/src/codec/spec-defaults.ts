/**
 * What a spec field means that is not set on the wire: the default of its zod schema, so that the
 * schemas stay the single definition. Found by walking schemas and messages side by side.
 */
import {
  clusterSpec,
  configSpec,
  networkSpec,
  nodeSpec,
  secretSpec,
  serviceSpec,
} from '@swarmd/model';
import protobuf from 'protobufjs';

import { protoRoot } from '../proto-root.ts';

/** As much of a zod schema as is needed here. */
interface Schema {
  readonly def: {
    readonly type: string;
    readonly innerType?: Schema;
    readonly element?: Schema;
    readonly options?: readonly Schema[];
  };
  readonly shape?: Readonly<Record<string, Schema>>;
  safeParse(value: unknown): { success: boolean; data?: unknown };
}

/** Spec messages by their schema. */
export const SPEC_SCHEMAS: Readonly<Record<string, Schema>> = {
  ClusterSpec: clusterSpec,
  ConfigSpec: configSpec,
  NetworkSpec: networkSpec,
  NodeSpec: nodeSpec,
  SecretSpec: secretSpec,
  ServiceSpec: serviceSpec,
};

export type Defaults = Readonly<Record<string, unknown>>;

let collected: ReadonlyMap<string, Defaults> | undefined;

/** Defaults of a message's fields by the message's full name; empty for what is not part of a spec. */
export function specDefaults(fullName: string): Defaults {
  collected ??= collect();
  return collected.get(fullName) ?? {};
}

function collect(): Map<string, Defaults> {
  const all = new Map<string, Defaults>();
  for (const [name, schema] of Object.entries(SPEC_SCHEMAS)) {
    walk(protoRoot().lookupType(`swarm.v1.${name}`), schema, all);
  }
  return all;
}

function walk(type: protobuf.Type, schema: Schema, all: Map<string, Defaults>): void {
  const object = strip(schema);
  if (object?.shape === undefined || all.has(type.fullName)) return;
  const defaults: Record<string, unknown> = {};
  all.set(type.fullName, defaults);
  for (const [name, field] of Object.entries(object.shape)) {
    const parsed = field.safeParse(undefined);
    if (parsed.success && parsed.data !== undefined) defaults[name] = parsed.data;
    const nested = type.fields[name]?.resolvedType;
    if (nested instanceof protobuf.Type) walk(nested, field, all);
  }
}

/** The object schema inside defaults, optionals and arrays. */
function strip(schema: Schema): Schema | undefined {
  const inner = schema.def.innerType ?? schema.def.element;
  return inner === undefined ? schema : strip(inner);
}
