/** The Raft service as gRPC needs it, parsed from `swarm/v1/raft.proto`. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import {
  loadPackageDefinition,
  type GrpcObject,
  type ServiceClientConstructor,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

import { SwarmError } from '@swarmd/base';

const FILE = 'swarm/v1/raft.proto';
/** From this file in the source tree; from a bundle in `dist/`, and from one beside `proto/`. */
const PLACES = ['../../../../../proto', '../proto', './proto'];

/** @throws SwarmError `failed-precondition` when the file is nowhere to be found. */
export function raftService(protoDir: string | undefined): ServiceClientConstructor {
  const named = protoDir ?? process.env['SWARMD_PROTO_DIR'];
  const candidates =
    named === undefined || named === ''
      ? PLACES.map((place) => fileURLToPath(new URL(place, import.meta.url)))
      : [named];
  const directory = candidates.find((candidate) => existsSync(join(candidate, FILE)));
  if (directory === undefined) {
    throw new SwarmError(
      'failed-precondition',
      `no ${FILE} in ${candidates.join(', ')}; set SWARMD_PROTO_DIR to the folder that has it`,
    );
  }
  const definition = loadSync(FILE, {
    includeDirs: [directory],
    longs: Number,
    enums: String,
    oneofs: true,
    defaults: true,
    arrays: true,
  });
  const root = loadPackageDefinition(definition);
  const service = (root['swarm'] as GrpcObject)['v1'] as GrpcObject;
  return service['Raft'] as ServiceClientConstructor;
}
