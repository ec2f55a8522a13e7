/** The standard reflection service: lets tools such as grpcurl call the API without its files. */
import { status } from '@grpc/grpc-js';

import type { Call } from '../contract/call.ts';
import { packageFileName, protoRoot } from '../proto-root.ts';
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
          ...(await answer(request, server.services)),
        };
      }
    },
  };
  for (const version of VERSIONS) hostOf(server).add(reflectionService(version), implementation);
}

async function answer(request: ReflectionRequest, services: readonly string[]): Promise<Answer> {
  if (request.listServices !== undefined) {
    return { listServicesResponse: { service: services.map((name) => ({ name })) } };
  }
  const { fileByFilename, fileContainingSymbol } = request;
  const wanted = fileByFilename ?? fileContainingSymbol ?? 'an extension';
  const files = await describedFiles();
  const file = fileByFilename ?? fileOfSymbol(fileContainingSymbol ?? '', files);
  const bytes = files.get(file ?? '');
  return bytes === undefined
    ? { errorResponse: { errorCode: status.NOT_FOUND, errorMessage: `${wanted} is not known` } }
    : { fileDescriptorResponse: { fileDescriptorProto: [bytes] } };
}

type Files = ReadonlyMap<string, Uint8Array>;

/** There is one file a package, and none needs another. */
function fileOfSymbol(symbol: string, files: Files): string | undefined {
  let at = protoRoot().lookup(symbol);
  while (at !== null && !files.has(packageFileName(at))) at = at.parent;
  return at === null ? undefined : packageFileName(at);
}

let described: Promise<Files> | undefined;

/** Serialized descriptors by file name; made, and the code for it loaded, when first asked for. */
function describedFiles(): Promise<Files> {
  described ??= import('./descriptors.ts').then(({ describeFiles }) => describeFiles(protoRoot()));
  return described;
}
