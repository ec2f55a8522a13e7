/** The standard reflection service: lets tools such as grpcurl call the API without its files. */
import { status } from '@grpc/grpc-js';
import type protobuf from 'protobufjs';
import descriptor from 'protobufjs/ext/descriptor/index.js';

import type { Call } from '../contract/call.ts';
import { protoRoot } from '../proto-root.ts';
import type { Service } from '../service/definition.ts';
import type { ApiServer } from './api-server.ts';
import { hostOf } from './serve.ts';

interface ReflectionRequest {
  readonly host: string;
  readonly fileByFilename?: string;
  readonly fileContainingSymbol?: string;
  readonly fileContainingExtension?: object;
  readonly allExtensionNumbersOfType?: string;
  readonly listServices?: string;
}

interface Answer {
  readonly fileDescriptorResponse?: { readonly fileDescriptorProto: readonly Uint8Array[] };
  readonly listServicesResponse?: { readonly service: readonly { readonly name: string }[] };
  readonly errorResponse?: { readonly errorCode: number; readonly errorMessage: string };
}

interface ReflectionContract {
  serverReflectionInfo(
    requests: AsyncIterable<ReflectionRequest>,
    call: Call,
  ): AsyncIterable<
    Answer & { readonly validHost: string; readonly originalRequest: ReflectionRequest }
  >;
}

const reflectionService = (version: string): Service<ReflectionContract> => ({
  name: `grpc.reflection.${version}.ServerReflection`,
  methods: {
    serverReflectionInfo: { access: 'node', writes: false, result: 'message' },
  },
});

/** Clients still ask for either. */
const VERSIONS = ['v1', 'v1alpha'];

/** Adds the service: it tells of what the server has when it is asked. */
export function serveReflection(server: ApiServer): void {
  const implementation: ReflectionContract = {
    async *serverReflectionInfo(requests) {
      for await (const request of requests) {
        yield {
          validHost: request.host,
          originalRequest: request,
          ...answer(request, server.services),
        };
      }
    },
  };
  for (const version of VERSIONS) hostOf(server).add(reflectionService(version), implementation);
}

function answer(request: ReflectionRequest, services: readonly string[]): Answer {
  if (request.listServices !== undefined) {
    return { listServicesResponse: { service: services.map((name) => ({ name })) } };
  }
  const { fileByFilename, fileContainingSymbol } = request;
  const wanted = fileByFilename ?? fileContainingSymbol ?? 'an extension';
  const file =
    fileByFilename === undefined
      ? fileContainingSymbol && fileOfSymbol(fileContainingSymbol)
      : fileByFilename;
  const bytes = file === undefined ? undefined : files().get(file);
  return bytes === undefined
    ? { errorResponse: { errorCode: status.NOT_FOUND, errorMessage: `${wanted} is not known` } }
    : { fileDescriptorResponse: { fileDescriptorProto: [bytes] } };
}

/** protobufjs makes one file of each package, named after it; none needs another. */
function fileOfSymbol(symbol: string): string | undefined {
  const found = lookUp(symbol) ?? lookUp(symbol.slice(0, symbol.lastIndexOf('.')));
  for (let at = found?.parent ?? null; at !== null; at = at.parent) {
    const name = `${at.fullName.slice(1).replaceAll('.', '_')}.proto`;
    if (files().has(name)) return name;
  }
  return undefined;
}

function lookUp(symbol: string): protobuf.ReflectionObject | undefined {
  return protoRoot().lookup(symbol) ?? undefined;
}

let described: ReadonlyMap<string, Uint8Array> | undefined;

/** Serialized descriptors by file name; made when first asked for. */
function files(): ReadonlyMap<string, Uint8Array> {
  described ??= describe();
  return described;
}

function describe(): Map<string, Uint8Array> {
  const set = protoRoot().toDescriptor('proto3');
  return new Map(
    set.file.map((file) => [file.name ?? '', descriptor.FileDescriptorProto.encode(file).finish()]),
  );
}
