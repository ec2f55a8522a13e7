/** One connection to etcd or to us that can write a value of some bytes under a new key. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { ChannelCredentials, Client } from '@grpc/grpc-js';
import { loadSync, type MethodDefinition } from '@grpc/proto-loader';
import { connect, createControlClient } from '@swarmd/api';

import type { Target } from './load.ts';

export interface Writer {
  write(key: string, value: Buffer, timeoutMs: number): Promise<void>;
}

export function openWriter(target: Target): Writer {
  return target.kind === 'etcd' ? etcdWriter(target.address) : swarmWriter(target);
}

function etcdWriter(address: string): Writer {
  const file = fileURLToPath(new URL('./etcd.proto', import.meta.url));
  const put = (
    loadSync(file)['etcdserverpb.KV'] as Record<string, MethodDefinition<object, object>>
  )['Put'];
  if (put === undefined) throw new Error('etcd.proto describes no Put');
  const client = new Client(address, ChannelCredentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
    'grpc.initial_reconnect_backoff_ms': 50,
    'grpc.min_reconnect_backoff_ms': 50,
    'grpc.max_reconnect_backoff_ms': 100,
  });
  return {
    write: (key, value, timeoutMs) =>
      new Promise((resolve, reject) => {
        client.makeUnaryRequest(
          put.path,
          put.requestSerialize,
          put.responseDeserialize,
          { key: Buffer.from(key), value },
          { deadline: Date.now() + timeoutMs },
          (error) => (error === null ? resolve() : reject(error)),
        );
      }),
  };
}

function swarmWriter(target: Exclude<Target, { kind: 'etcd' }>): Writer {
  const control = createControlClient(connect(channelOptions(target)));
  return {
    write: async (name, data, timeoutMs) => {
      const call = { signal: new AbortController().signal, timeoutMs };
      await control.createConfig({ spec: { name, labels: {}, data } }, call);
    },
  };
}

function channelOptions(target: Exclude<Target, { kind: 'etcd' }>): Parameters<typeof connect>[0] {
  if (target.kind === 'swarm-socket') return { socketPath: target.path };
  const read = (file: string): string => readFileSync(`${target.identityDir}/${file}`, 'utf8');
  const tls = {
    caPem: read('ca.pem'),
    certificatePem: read('node.pem'),
    keyPem: read('node.pem'),
  };
  return { address: target.address, tls: () => tls };
}
