/**
 * The parsed proto files. They are read when first needed: from the folder `SWARMD_PROTO_DIR` names,
 * else from where the source tree or a bundle keeps them.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { SwarmError } from '@swarmd/base';
import protobuf from 'protobufjs';

/** Every file with a service of ours; they import the rest. */
const PROTO_FILES = [
  'agent',
  'ca',
  'control',
  'dispatcher',
  'engine',
  'leader',
  'local',
  'logs',
  'membership',
  'watch',
].map((name) => `swarm/v1/${name}.proto`);

/** The standard services. */
const STANDARD_FILES = [
  'grpc/health/v1/health.proto',
  'grpc/reflection/v1/reflection.proto',
  'grpc/reflection/v1alpha/reflection.proto',
];

/** Relative to this file in the source tree, then to a bundle in `dist/` or beside `proto/`. */
const PLACES = ['../../../proto', './proto', '../proto'];

/** @throws SwarmError `failed-precondition` when the files are nowhere to be found. */
function protoDirectory(): string {
  const named = process.env['SWARMD_PROTO_DIR'];
  const candidates =
    named === undefined || named === ''
      ? PLACES.map((place) => fileURLToPath(new URL(place, import.meta.url)))
      : [named];
  const found = candidates.find((directory) =>
    existsSync(join(directory, 'swarm/v1/control.proto')),
  );
  if (found === undefined) {
    throw new SwarmError(
      'failed-precondition',
      `no API definitions (swarm/v1/*.proto) in ${candidates.join(', ')}; set SWARMD_PROTO_DIR to the folder that has them`,
    );
  }
  return found;
}

/** Names without a package are ours: "Task" is "swarm.v1.Task". */
export function fullName(name: string): string {
  return name.includes('.') ? name : `swarm.v1.${name}`;
}

let parsed: protobuf.Root | undefined;

/** All types of `swarm.v1`, resolved. */
export function protoRoot(): protobuf.Root {
  if (parsed !== undefined) return parsed;
  const directory = protoDirectory();
  const root = new protobuf.Root();
  // Not `root.loadSync`: it looks for the file system in a way that does not survive bundling.
  const left = [...PROTO_FILES, ...STANDARD_FILES];
  const seen = new Set<string>();
  for (let file = left.pop(); file !== undefined; file = left.pop()) {
    if (seen.has(file)) continue;
    seen.add(file);
    const { imports = [] } = protobuf.parse(readFileSync(join(directory, file), 'utf8'), root);
    left.push(...imports);
  }
  root.resolveAll();
  parsed = root;
  return root;
}

/** Name of the one file that a package is described as, e.g. "swarm_v1.proto". */
export function packageFileName(packageOf: protobuf.ReflectionObject): string {
  return `${packageOf.fullName.slice(1).replaceAll('.', '_')}.proto`;
}
