/** The schemas of specs, and what they say of fields that are left out. */
import {
  clusterSpec,
  configSpec,
  networkSpec,
  nodeSpec,
  secretSpec,
  serviceSpec,
} from '@swarmd/model';
import protobuf from 'protobufjs';

import { protoRoot } from '../../src/proto-root.ts';

/** As much of a zod schema as is needed here. */
interface Schema {
  readonly def: { readonly type: string; readonly innerType?: Schema; readonly element?: Schema };
  readonly shape?: Readonly<Record<string, Schema>>;
  safeParse(value: unknown): { success: boolean; data?: unknown };
}

/** By the name of their message. */
export const SPEC_SCHEMAS: Readonly<Record<string, Schema>> = {
  ClusterSpec: clusterSpec,
  ConfigSpec: configSpec,
  NetworkSpec: networkSpec,
  NodeSpec: nodeSpec,
  SecretSpec: secretSpec,
  ServiceSpec: serviceSpec,
};

/** Fields of spec messages that have a default, with the default of their schema. */
export function specFields(): { message: string; field: string; value: unknown }[] {
  const found: { message: string; field: string; value: unknown }[] = [];
  const visit = (message: string, schema: Schema): void => {
    for (const [field, part] of Object.entries(strip(schema).shape ?? {})) {
      const { success, data } = part.safeParse(undefined);
      if (success && data !== undefined) found.push({ message, field, value: data });
      const nested = protoRoot().lookupType(`swarm.v1.${message}`).fields[field]?.resolvedType;
      if (nested instanceof protobuf.Type) visit(nested.name, part);
    }
  };
  for (const [message, schema] of Object.entries(SPEC_SCHEMAS)) visit(message, schema);
  return found;
}

/** The object schema inside defaults, optionals and arrays. */
function strip(schema: Schema): Schema {
  const inner = schema.def.innerType ?? schema.def.element;
  return inner === undefined ? schema : strip(inner);
}
