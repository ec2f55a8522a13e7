/**
 * A manager of the orchestration benchmark (`npm run bench -- orchestrate`): the real one in a process
 * of its own, with agents attached to it. Takes requests over the channel of its parent; ends with it.
 */
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';

import { errorMessage, silentLogger } from '@swarmd/base';
import { systemClock, systemIds, systemRandom } from '@swarmd/base/system';
import { asId } from '@swarmd/model';
import type { Commit } from '@swarmd/store';

import type { Core } from '../../core.ts';
import { newNode } from '../../identity/new-node.ts';
import { assembleManager } from '../../manager.ts';
import type { ScaleAnswer, ScaleFigures, ScaleRequest, ScaleStart } from './protocol.ts';
import { ScaleAgents } from './scale-agents.ts';

const NODES_AT_ONCE = 500;
const MIB = 1024 ** 2;
const NANOS_PER_MS = 1e6;

const stack = new AsyncDisposableStack();
const delays = monitorEventLoopDelay({ resolution: 5 });
const seen = { placed: 0, running: 0, placedAt: 0, sentAt: 0, committedAt: 0 };
let core: Core | undefined;
let agents: ScaleAgents | undefined;

function now(): number {
  return performance.timeOrigin + performance.now();
}

function started(): Core {
  if (core === undefined) throw new Error('the manager was not started');
  return core;
}

async function start(options: ScaleStart): Promise<string> {
  const logger = silentLogger;
  const ports = { clock: systemClock, random: systemRandom, ids: systemIds, logger };
  const made = await assembleManager({ ...options, ...ports }, stack);
  core = made.core;
  core.store.subscribe((commit) => count(commit));
  agents = new ScaleAgents({
    core,
    clusterId: options.clusterId,
    onTask: () => {
      seen.sentAt = now();
    },
  });
  delays.enable();
  return made.manager.controlSocket;
}

function count(commit: Commit): void {
  const at = now();
  seen.committedAt = at;
  for (const { table, before, after } of commit.changes) {
    if (table !== 'task') continue;
    if (before?.nodeId === undefined && after?.nodeId !== undefined) {
      seen.placed += 1;
      seen.placedAt = at;
    }
    const isRunning = after?.status.state === 'running';
    const wasRunning = before?.status.state === 'running';
    if (isRunning !== wasRunning) seen.running += isRunning ? 1 : -1;
  }
}

async function addNodes(total: number): Promise<void> {
  const { store } = started();
  const { signal } = new AbortController();
  for (let from = 0; from < total; from += NODES_AT_ONCE) {
    await store.update<void>((tx) => {
      for (let at = from; at < Math.min(total, from + NODES_AT_ONCE); at += 1) {
        const id = asId('node', `n${at}`);
        tx.put('node', newNode(tx, { id, role: 'worker', now: systemClock.now() }));
      }
    }, signal);
  }
}

function figures(): ScaleFigures {
  const { rss, heapUsed } = process.memoryUsage();
  const { user, system } = process.cpuUsage();
  const longestStallMs = delays.max / NANOS_PER_MS;
  delays.reset();
  return {
    ...seen,
    connected: agents?.connected ?? 0,
    isLeader: started().leadership.reign !== undefined,
    rssMiB: rss / MIB,
    heapMiB: heapUsed / MIB,
    cpuMs: (user + system) / 1_000,
    longestStallMs,
  };
}

async function answer(request: ScaleRequest): Promise<ScaleAnswer> {
  switch (request.kind) {
    case 'start':
      return { kind: 'started', controlSocket: await start(request.options) };
    case 'nodes':
      await addNodes(request.count);
      return { kind: 'done' };
    case 'agents':
      for (let at = request.from; at < request.to; at += 1) agents?.add(asId('node', `n${at}`), at);
      return { kind: 'done' };
    case 'figures':
      return { kind: 'figures', figures: figures() };
    default:
      return { kind: 'failed', error: 'unknown request' };
  }
}

process.on('message', (request: ScaleRequest) => {
  answer(request).then(
    (reply) => process.send?.(reply),
    (error: unknown) => process.send?.({ kind: 'failed', error: errorMessage(error) }),
  );
});
process.on('disconnect', () => {
  void stack.disposeAsync().finally(() => process.exit());
});
