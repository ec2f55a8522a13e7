import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Client, credentials, Metadata } from '@grpc/grpc-js';
import protobuf from 'protobufjs';
import descriptor from 'protobufjs/ext/descriptor/index.js';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { messageCodec } from '../src/codec/message.ts';
import {
  createClusterServer,
  createLocalServer,
  serveControl,
  serveHealth,
  serveReflection,
  type Control,
  type Health,
} from '../src/index.ts';
import { createCluster, partial } from './support/identities.ts';

let stack: AsyncDisposableStack;
let client: Client;
let health: Health;

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'swarmd-api-'));
  stack.defer(() => rm(folder, { recursive: true }));
  const path = join(folder, 's.sock');
  const server = stack.use(await createLocalServer({ path }));
  serveControl(server, partial<Control>({}));
  health = serveHealth(server);
  serveReflection(server);
  client = new Client(`unix:${path}`, credentials.createInsecure());
  stack.defer(() => client.close());
});
afterEach(() => stack.disposeAsync());

const same = (bytes: Uint8Array): Buffer => Buffer.from(bytes);

function unary(path: string, request: Uint8Array): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(path, same, same, request, new Metadata(), {}, (error, response) =>
      error === null ? resolve(response!) : reject(error),
    );
  });
}

const HEALTH = '/grpc.health.v1.Health';
const checks = messageCodec<object>('grpc.health.v1.HealthCheckRequest');
const statuses = messageCodec<{ status: string }>('grpc.health.v1.HealthCheckResponse');

it('tells the health of the server and of its services', async () => {
  const check = async (service: string): Promise<string> =>
    statuses.decode(await unary(`${HEALTH}/Check`, checks.encode({ service }))).status;
  expect(await check('')).toBe('serving');
  expect(await check('swarm.v1.Control')).toBe('serving');
  health.set('swarm.v1.Control', 'not-serving');
  expect(await check('swarm.v1.Control')).toBe('not-serving');
  await expect(check('swarm.v1.Nothing')).rejects.toMatchObject({ code: 5 });
});

it('tells changes of health as they happen', async () => {
  const stream = client.makeServerStreamRequest(
    `${HEALTH}/Watch`,
    same,
    same,
    checks.encode({ service: '' }),
  );
  stream.on('error', () => undefined);
  const seen: string[] = [];
  for await (const bytes of stream) {
    seen.push(statuses.decode(bytes as Uint8Array).status);
    if (seen.length === 1) health.set('', 'not-serving');
    else break;
  }
  expect(seen).toEqual(['serving', 'not-serving']);
});

it.each(['v1', 'v1alpha'])('describes itself to tools (%s)', async (version) => {
  const requests = messageCodec<object>(`grpc.reflection.${version}.ServerReflectionRequest`);
  const responses = messageCodec<{
    fileDescriptorResponse?: { fileDescriptorProto: Uint8Array[] };
    listServicesResponse?: { service: { name: string }[] };
    errorResponse?: { errorCode: number };
  }>(`grpc.reflection.${version}.ServerReflectionResponse`);
  const stream = client.makeBidiStreamRequest(
    `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
    same,
    same,
  );
  for (const request of [
    { listServices: '' },
    { fileContainingSymbol: 'swarm.v1.Control.CreateService' },
    { fileContainingSymbol: 'swarm.v1.Nothing' },
    { fileByFilename: 'grpc_health_v1.proto' },
  ]) {
    stream.write(requests.encode({ host: 'h', ...request }));
  }
  stream.end();
  const answers = (await Array.fromAsync(stream)).map((bytes) =>
    responses.decode(bytes as Uint8Array),
  );
  expect(answers[0]?.listServicesResponse?.service).toContainEqual({ name: 'swarm.v1.Control' });
  expect(answers[2]?.errorResponse).toMatchObject({ errorCode: 5 });
  expect(answers[3]?.fileDescriptorResponse?.fileDescriptorProto).toHaveLength(1);
  // What a tool rebuilds from the description encodes as ours does.
  const file = answers[1]!.fileDescriptorResponse!.fileDescriptorProto[0]!;
  const set = descriptor.FileDescriptorSet.create({
    file: [descriptor.FileDescriptorProto.decode(file)],
  });
  const { fromDescriptor } = protobuf.Root as unknown as {
    fromDescriptor: (set: object) => protobuf.Root;
  };
  const type = fromDescriptor(set).resolveAll().root.lookupType('swarm.v1.ServiceSpec');
  const message = type.fromObject({
    name: 'web',
    // protobufjs reads descriptions of maps as what they are on the wire.
    labels: [{ key: 'a', value: 'b' }],
    update: { parallelism: 0, order: 'ORDER_START_FIRST' },
  });
  const spec = messageCodec<object>('ServiceSpec').decode(type.encode(message).finish());
  expect(spec).toMatchObject({
    name: 'web',
    labels: { a: 'b' },
    update: { parallelism: 0, order: 'start-first', monitorMs: 5_000 },
  });
});

it('is behind the same authorization on the cluster port', async () => {
  const cluster = createCluster('c1');
  const tls = cluster.member('m1', 'manager');
  const server = stack.use(
    await createClusterServer({ host: '127.0.0.1', port: 0, tls: () => tls }),
  );
  serveHealth(server);
  client.close();
  client = new Client(
    `127.0.0.1:${server.port}`,
    credentials.createSsl(Buffer.from(cluster.root.certificatePem), null, null, {
      checkServerIdentity: () => undefined,
    }),
    { 'grpc.ssl_target_name_override': 'swarm-manager' },
  );
  await expect(unary(`${HEALTH}/Check`, checks.encode({ service: '' }))).rejects.toMatchObject({
    code: 16,
  });
});
