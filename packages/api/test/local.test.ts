import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { SwarmError, type ErrorCode } from '@swarmd/base';
import { asId, logColumns, serviceSpec, type Service } from '@swarmd/model';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import {
  connect,
  createControlClient,
  createDispatcherClient,
  createLocalServer,
  createLogsClient,
  createWatchClient,
  serveControl,
  serveDispatcher,
  serveLogs,
  serveWatch,
  type AgentMessage,
  type Call,
  type Channel,
  type Control,
  type TaskLogChunk,
} from '../src/index.ts';
import { partial, until } from './support/identities.ts';

let folder: string;
let path: string;
let stack: AsyncDisposableStack;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'swarmd-api-'));
  path = join(folder, 'control.sock');
  stack = new AsyncDisposableStack();
  stack.defer(() => rm(folder, { recursive: true }));
});
afterEach(() => stack.disposeAsync());

async function serve(
  add: (server: Awaited<ReturnType<typeof createLocalServer>>) => void,
): Promise<Channel> {
  const server = stack.use(await createLocalServer({ path }));
  add(server);
  return stack.use(connect({ socketPath: path }));
}

const signal = new AbortController().signal;
const call: Call = { signal };
const nodeId = asId('node', 'n1');

describe('a unary call', () => {
  const controlWith = async (methods: Partial<Control>): Promise<Control> =>
    createControlClient(await serve((server) => serveControl(server, partial<Control>(methods))));

  it('carries requests with their defaults, answers, lists and nothing', async () => {
    const spec = { name: 'web', task: { container: { image: 'nginx' } } };
    const seen: unknown[] = [];
    const made: Service = {
      id: asId('service', 's1'),
      meta: { version: 7, createdAt: 1, updatedAt: 2 },
      spec: serviceSpec.parse(spec),
      specVersion: 7,
      endpoint: { ports: [], virtualIps: [] },
      because: [],
    };
    const control = await controlWith({
      createService(request, { local, peer }) {
        seen.push(request, local, peer);
        return Promise.resolve(made);
      },
      listServices: ({ filter }) => {
        seen.push(filter);
        return Promise.resolve([made, made]);
      },
      removeNode: (request) => {
        seen.push(request);
        return Promise.resolve();
      },
    });
    expect(await control.createService({ spec }, call)).toEqual(made);
    expect(await control.listServices({ filter: { names: ['web'] } }, call)).toEqual([made, made]);
    expect(await control.removeNode({ id: nodeId, force: true }, call)).toBeUndefined();
    expect(seen).toEqual([
      { spec: serviceSpec.parse(spec), registryAuth: new Uint8Array() },
      true,
      undefined,
      { ids: [], idPrefixes: [], names: ['web'], labels: [] },
      { id: nodeId, force: true },
    ]);
  });

  it('tells an update without a spec from one with an empty one', async () => {
    const seen: unknown[] = [];
    const control = await controlWith({
      updateService(request) {
        seen.push('spec' in request);
        return Promise.reject(new SwarmError('not-found', 'no'));
      },
    });
    const request = { id: asId('service', 's'), version: 1, rollback: true };
    await expect(control.updateService(request, call)).rejects.toThrow('no');
    expect(seen).toEqual([false]);
  });

  const codes: ErrorCode[] = [
    'invalid-argument',
    'not-found',
    'already-exists',
    'failed-precondition',
    'out-of-date',
    'permission-denied',
    'unauthenticated',
    'resource-exhausted',
    'unimplemented',
    'unavailable',
    'deadline-exceeded',
    'cancelled',
    'unknown-outcome',
    'data-loss',
    'internal',
  ];
  it('fails with the very error of the server, whichever it is', async () => {
    let code: ErrorCode = 'internal';
    const message = 'service "wéb" ☂ %25\nsecond line';
    const control = await controlWith({
      getNode: () => Promise.reject(new SwarmError(code, message)),
    });
    for (code of codes) {
      await expect(control.getNode({ id: nodeId }, call)).rejects.toMatchObject({ code, message });
    }
  });

  it('does not show what is not meant for the caller', async () => {
    const control = await controlWith({
      getNode: () => Promise.reject(new TypeError('secret internals')),
      getTask: () => {
        throw new TypeError('thrown at once');
      },
    });
    for (const ask of [
      () => control.getNode({ id: nodeId }, call),
      () => control.getTask({ id: asId('task', 't') }, call),
    ]) {
      const error = (await ask().catch((reason: unknown) => reason)) as SwarmError;
      expect(error.code).toBe('internal');
      expect(error.message).not.toMatch(/secret|thrown/);
    }
  });

  it('ends at its deadline and with its signal, and the server hears of both', async () => {
    const aborted: unknown[] = [];
    const control = await controlWith({
      getNode: (_, { signal }) =>
        new Promise((_resolve, reject) =>
          signal.addEventListener('abort', () => {
            aborted.push((signal.reason as SwarmError).code);
            reject(signal.reason as Error);
          }),
        ),
    });
    await expect(control.getNode({ id: nodeId }, { signal, timeoutMs: 50 })).rejects.toMatchObject({
      code: 'deadline-exceeded',
    });
    const controller = new AbortController();
    const asked = control.getNode({ id: nodeId }, { signal: controller.signal });
    setImmediate(() => controller.abort(new SwarmError('cancelled', 'changed my mind')));
    await expect(asked).rejects.toThrow('changed my mind');
    await expect(control.getNode({ id: nodeId }, { signal: controller.signal })).rejects.toThrow(
      'changed my mind',
    );
    await until(() => aborted.length >= 1, 'the server notices');
    expect(new Set(aborted)).toEqual(new Set(['cancelled']));
  });

  it('is unavailable without a server, and of unknown outcome when a write loses it', async () => {
    const nobody = createControlClient(stack.use(connect({ socketPath: join(folder, 'none') })));
    await expect(nobody.removeNode({ id: nodeId, force: false }, call)).rejects.toMatchObject({
      code: 'unavailable',
    });
    let started = 0;
    const hang = (): Promise<never> => {
      started += 1;
      return new Promise(() => undefined);
    };
    const server = await createLocalServer({ path });
    serveControl(server, partial<Control>({ removeNode: hang, getNode: hang }));
    const control = createControlClient(stack.use(connect({ socketPath: path })));
    const write = control.removeNode({ id: nodeId, force: false }, call);
    const read = control.getNode({ id: nodeId }, call);
    const outcomes = Promise.allSettled([write, read]);
    await until(() => started === 2, 'both calls arrive');
    await server[Symbol.asyncDispose]();
    // At once, and not when the client's keepalive notices.
    let settled = false;
    void outcomes.then(() => (settled = true));
    const soon = AbortSignal.timeout(4_000);
    await until(() => settled || soon.aborted, 'the calls end');
    expect(settled).toBe(true);
    expect(await outcomes).toMatchObject([
      { reason: { code: 'unknown-outcome' } },
      { reason: { code: 'unavailable' } },
    ]);
  });
});

describe('a server stream', () => {
  const record = (data: Uint8Array): TaskLogChunk => ({
    taskId: asId('task', 't'),
    nodeId,
    serviceId: asId('service', 's'),
    ...logColumns([{ stream: 'stderr', timestamp: 1.5, data }]),
    cursor: 'here',
    notice: '',
    attributes: { tag: 'a' },
  });
  const request = { selector: { taskIds: [] }, options: { follow: true }, after: { t: 'there' } };

  it('waits for its reader, and goes on', async () => {
    let sent = 0;
    const channel = await serve((server) =>
      serveLogs(server, {
        async *subscribe() {
          for (; sent < 500; sent += 1) yield record(new Uint8Array(64 * 1024).fill(sent));
        },
      }),
    );
    let received = 0;
    let paused = 0;
    for await (const { data } of createLogsClient(channel).subscribe(request, call)) {
      expect(data[0]).toBe(received % 256);
      received += 1;
      if (received !== 1) continue;
      // With nobody reading, the writer stops by itself: it is at rest when nothing moves for long.
      for (let still = 0, last = -1; still < 50; last = sent) {
        await new Promise((resolve) => setTimeout(resolve, 2));
        still = sent === last ? still + 1 : 0;
      }
      paused = sent;
    }
    expect(received).toBe(500);
    expect(paused).toBeLessThan(100);
  });

  it('ends on the server when the reader leaves the loop or aborts', async () => {
    let live = 0;
    const channel = await serve((server) =>
      serveLogs(server, {
        async *subscribe({ after }, { signal }) {
          expect(after).toEqual({ t: 'there' });
          live += 1;
          try {
            yield record(new Uint8Array(1));
            await new Promise((_resolve, reject) =>
              signal.addEventListener('abort', () => reject(signal.reason as Error)),
            );
          } finally {
            live -= 1;
          }
        },
      }),
    );
    const logs = createLogsClient(channel);
    for await (const item of logs.subscribe(request, call)) {
      expect(item).toEqual(record(new Uint8Array(1)));
      expect(live).toBe(1);
      break;
    }
    await until(() => live === 0, 'the stream ends');
    const controller = new AbortController();
    await expect(async () => {
      for await (const _ of logs.subscribe(request, { signal: controller.signal })) {
        controller.abort(new Error('enough'));
      }
    }).rejects.toThrow('enough');
    await until(() => live === 0, 'the stream ends');
  });

  it('passes on the error it ends with, also when that comes first', async () => {
    const channel = await serve((server) =>
      serveWatch(server, {
        async *watch({ tables }) {
          if (tables.length > 0) yield { version: 3, changes: [] };
          throw new SwarmError('resource-exhausted', 'too slow');
        },
      }),
    );
    const watch = createWatchClient(channel);
    for (const tables of [[], ['node', 'task']] as const) {
      const got: number[] = [];
      await expect(async () => {
        for await (const { version } of watch.watch({ tables, includeExisting: true }, call)) {
          got.push(version);
        }
      }).rejects.toMatchObject({ code: 'resource-exhausted', message: 'too slow' });
      expect(got).toEqual(tables.map(() => 3).slice(0, 1));
    }
  });
});

describe('a stream in both directions', () => {
  async function* count(from: number, to: number): AsyncGenerator<AgentMessage> {
    for (let sequence = from; sequence < to; sequence += 1) {
      yield { kind: 'statuses', sequence, updates: [] };
    }
  }

  it('carries both at once, and ends when both have', async () => {
    const channel = await serve((server) =>
      serveDispatcher(server, {
        async *session(messages) {
          for await (const message of messages) {
            if (message.kind === 'statuses')
              yield { kind: 'status-ack', sequence: message.sequence };
          }
          yield { kind: 'heartbeat' };
        },
      }),
    );
    const got = await Array.fromAsync(createDispatcherClient(channel).session(count(0, 300), call));
    expect(got.length).toBe(301);
    expect(got.at(-1)).toEqual({ kind: 'heartbeat' });
    expect(got[299]).toEqual({ kind: 'status-ack', sequence: 299 });
  });

  it('fails with the sender’s error, and with the server’s', async () => {
    const channel = await serve((server) =>
      serveDispatcher(server, {
        async *session(messages) {
          for await (const message of messages) {
            if (message.kind === 'heartbeat') throw new SwarmError('not-found', 'no such node');
          }
          yield { kind: 'heartbeat' };
        },
      }),
    );
    const dispatcher = createDispatcherClient(channel);
    const broken = async function* (): AsyncGenerator<AgentMessage> {
      yield* count(0, 2);
      throw new Error('agent broke');
    };
    const refused = async function* (): AsyncGenerator<AgentMessage> {
      yield { kind: 'heartbeat' };
      await new Promise(() => undefined);
    };
    await expect(Array.fromAsync(dispatcher.session(broken(), call))).rejects.toThrow(
      'agent broke',
    );
    await expect(Array.fromAsync(dispatcher.session(refused(), call))).rejects.toMatchObject({
      code: 'not-found',
      message: 'no such node',
    });
  });

  it('ends at once with its signal, also when neither side has anything to say', async () => {
    let live = 0;
    const never = new Promise<never>(() => undefined);
    const channel = await serve((server) =>
      serveDispatcher(server, {
        async *session() {
          live += 1;
          yield await never;
        },
      }),
    );
    const controller = new AbortController();
    const silent = async function* (): AsyncGenerator<AgentMessage> {
      yield await never;
    };
    const session = createDispatcherClient(channel).session(silent(), {
      signal: controller.signal,
    });
    const outcome = Array.fromAsync(session);
    void until(() => live === 1, 'the call arrives').then(() => controller.abort(new Error('bye')));
    await expect(outcome).rejects.toThrow('bye');
  });
});

describe('the socket', () => {
  it('can be opened by its owner only', async () => {
    stack.use(await createLocalServer({ path }));
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  it('replaces one that a crashed process left, but no living one and no file', async () => {
    const crashed = createServer().listen(path);
    await until(() => crashed.listening, 'it listens');
    await expect(createLocalServer({ path })).rejects.toMatchObject({ code: 'already-exists' });
    // A unix socket's file stays when its server is closed without being unlinked: by a rename.
    const left = join(folder, 'left.sock');
    await import('node:fs/promises').then(({ rename }) => rename(path, left));
    await new Promise((resolve) => crashed.close(resolve));
    const server = await createLocalServer({ path: left });
    await server[Symbol.asyncDispose]();
    const file = join(folder, 'file');
    await writeFile(file, '');
    await expect(createLocalServer({ path: file })).rejects.toThrow(/no socket/);
  });
});
