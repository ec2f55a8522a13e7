/** Logs over real agents' listeners: merged, followed to new tasks, ended with the service. */
import {
  createClusterServer,
  serveAgent,
  type AgentService,
  type ClusterServer,
  type LogRequest,
  type TaskLogChunk,
} from '@swarmd/api';
import { silentLogger, SwarmError } from '@swarmd/base';
import { systemClock, systemRandom } from '@swarmd/base/system';
import { asId, logColumns, logLines, type Task, type TaskId } from '@swarmd/model';
import { createKeyAndCsr, createRootCa, signNodeCertificate } from '@swarmd/pki';
import { createMemoryStore } from '@swarmd/store/testing';
import type { Store } from '@swarmd/store';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { Peers } from '../src/net/peers.ts';
import { createLogs } from '../src/observe/logs.ts';
import { until } from '@swarmd/base/testing';
import { aNode, aService, aTask } from './support/objects.ts';

const CLUSTER = asId('cluster', 'c');
const NEW = { version: 0, createdAt: 0, updatedAt: 0 };
const rootCa = createRootCa({ now: Date.now() });

function identity(nodeId: string, role: 'manager' | 'worker') {
  const { keyPem, csrPem } = createKeyAndCsr();
  const certificatePem = signNodeCertificate({
    caCert: rootCa.certificatePem,
    caKey: rootCa.keyPem,
    csrPem,
    nodeId,
    clusterId: CLUSTER,
    role,
    expiryMs: 3_600_000,
    now: Date.now(),
  });
  return { certificatePem, keyPem, caPem: rootCa.certificatePem, clusterId: CLUSTER };
}

/** Lines of tasks as an agent would give them; a follower gets later ones as they are written. */
class FakeLogs implements AgentService {
  readonly requests: LogRequest[] = [];
  readonly #lines = new Map<TaskId, string[]>();
  readonly #wakes = new Set<() => void>();
  breakOnce = false;
  /** Tasks that it has not heard of yet. */
  readonly unknown = new Set<TaskId>();

  write(taskId: TaskId, line: string): void {
    this.#lines.set(taskId, [...(this.#lines.get(taskId) ?? []), line]);
    for (const wake of this.#wakes) wake();
  }

  async *taskLogs(
    { taskId, options }: { taskId: TaskId; options: LogRequest },
    { signal }: { signal: AbortSignal },
  ): AsyncIterable<TaskLogChunk> {
    this.requests.push(options);
    if (this.unknown.delete(taskId)) throw new SwarmError('not-found', 'not yet');
    for (let at = Number(options.after ?? 0); !signal.aborted;) {
      const lines = this.#lines.get(taskId) ?? [];
      if (lines.length > at) yield chunkOf(taskId, lines.slice(at), lines.length);
      at = lines.length;
      if (!options.follow || options.untilMs !== undefined) return;
      if (this.breakOnce) {
        this.breakOnce = false;
        throw new SwarmError('unavailable', 'the agent restarts');
      }
      await new Promise<void>((resolve) => {
        this.#wakes.add(resolve);
        signal.addEventListener('abort', () => resolve(), { once: true });
      });
    }
  }
}

/** All lines of the same moment, as those are that were printed in one go. */
function chunkOf(taskId: TaskId, lines: readonly string[], next: number): TaskLogChunk {
  const encoder = new TextEncoder();
  return {
    taskId,
    nodeId: asId('node', 'w'),
    serviceId: asId('service', 'web'),
    ...logColumns(
      lines.map((line) => ({ stream: 'stdout', timestamp: 1, data: encoder.encode(line) })),
    ),
    cursor: String(next),
    notice: '',
    attributes: {},
  };
}

describe('logs of a service', () => {
  let store: Store;
  let agent: FakeLogs;
  let server: ClusterServer;
  let peers: Peers;
  let stop: AbortController;

  beforeEach(async () => {
    stop = new AbortController();
    agent = new FakeLogs();
    const worker = identity('w', 'worker');
    server = await createClusterServer({ host: '127.0.0.1', port: 0, tls: () => worker });
    serveAgent(server, agent);
    const manager = identity('m', 'manager');
    peers = new Peers({ tls: () => manager, clusterId: CLUSTER });
    store = createMemoryStore();
    const agentAddress = `127.0.0.1:${server.port}`;
    await store.update((tx) => {
      tx.put('node', aNode('w', { meta: NEW, status: { ...aNode('w').status, agentAddress } }));
      tx.put('service', aService('web', { meta: NEW }));
    }, stop.signal);
  });
  afterEach(async () => {
    stop.abort();
    peers[Symbol.dispose]();
    await server[Symbol.asyncDispose]();
  });

  async function addTask(id: string): Promise<TaskId> {
    const task: Task = aTask(id, { meta: NEW, nodeId: asId('node', 'w') });
    await store.update((tx) => tx.put('task', task), stop.signal);
    return task.id;
  }

  function read(
    options: LogRequest,
    after: Record<string, string> = {},
  ): { lines: string[]; ended: Promise<unknown> } {
    const logs = createLogs({
      store,
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
      agentAt: (address) => peers.agent(address).agent,
    });
    const lines: string[] = [];
    const selector = { serviceId: asId('service', 'web'), taskIds: [] };
    const ended = (async () => {
      const request = { selector, options, after };
      for await (const chunk of logs.subscribe(request, { signal: stop.signal })) {
        for (const { data } of logLines(chunk)) {
          lines.push(`${chunk.taskId}: ${new TextDecoder().decode(data)}`);
        }
      }
    })();
    return { lines, ended: ended.catch((error: unknown) => error) };
  }

  it('gives what all its tasks wrote, then ends', async () => {
    const [a, b] = [await addTask('a'), await addTask('b')];
    agent.write(a, 'one');
    agent.write(b, 'two');
    const { lines, ended } = read({ follow: false });
    expect(await ended).toBeUndefined();
    expect(new Set(lines)).toEqual(new Set(['a: one', 'b: two']));
  });

  it('follows to new tasks, and ends with the service', async () => {
    const a = await addTask('a');
    const { lines, ended } = read({ follow: true });
    agent.write(a, 'one');
    await until('the first line', () => lines.length === 1);
    const b = await addTask('b');
    agent.write(b, 'two');
    await until('the new task', () => lines.length === 2);
    await store.update((tx) => {
      tx.delete('service', asId('service', 'web'));
      tx.delete('task', a);
      tx.delete('task', b);
    }, stop.signal);
    expect(await ended).toBeUndefined();
    expect(lines).toEqual(['a: one', 'b: two']);
  });

  it('goes on behind the last line after a break', async () => {
    const a = await addTask('a');
    agent.write(a, 'one');
    agent.breakOnce = true;
    const { lines } = read({ follow: true });
    await until('a second request', () => agent.requests.length === 2);
    agent.write(a, 'two');
    await until('the second line', () => lines.length === 2);
    expect(lines).toEqual(['a: one', 'a: two']);
  });

  it('goes on behind what its asker has', async () => {
    const [a, b] = [await addTask('a'), await addTask('b')];
    for (const line of ['one', 'two']) for (const task of [a, b]) agent.write(task, line);
    const { lines, ended } = read({ follow: false }, { a: '1' });
    expect(await ended).toBeUndefined();
    expect(lines.toSorted()).toEqual(['a: two', 'b: one', 'b: two']);
  });

  it('asks an agent again that has just come back and does not know its tasks yet', async () => {
    const a = await addTask('a');
    agent.write(a, 'one');
    agent.unknown.add(a);
    const { lines } = read({ follow: true });
    await until('the line', () => lines.length === 1);
  });

  it('lets a follower go when the time it asked for has passed', async () => {
    agent.write(await addTask('a'), 'one');
    const { lines, ended } = read({ follow: true, untilMs: systemClock.now() });
    expect(await ended).toBeUndefined();
    expect(lines).toEqual(['a: one']);
  });

  it('says whose log cannot be had', async () => {
    await addTask('a');
    await server[Symbol.asyncDispose]();
    const error = await read({ follow: false }).ended;
    expect(error).toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('web.1 (a) on node w'),
    });
  });

  it('refuses unknown services', async () => {
    await store.update((tx) => tx.delete('service', asId('service', 'web')), stop.signal);
    expect(await read({ follow: false }).ended).toMatchObject({ code: 'not-found' });
  });
});
