/**
 * A manager of the orchestration benchmark (`npm run bench -- orchestrate`): the real one in a process
 * of its own. Takes requests over the channel of its parent; ends with it.
 */
import { performance } from 'node:perf_hooks';
import { join } from 'node:path';

import { silentLogger } from '@swarmd/base';
import { systemClock, systemIds, systemRandom } from '@swarmd/base/system';
import type { Commit } from '@swarmd/store';

import type { Core } from '../../core.ts';
import { newNode } from '../../identity/new-node.ts';
import { assembleManager } from '../../manager.ts';
import { nodeOf, openAgentGate } from './agent-gate.ts';
import { serveParent } from './parent.ts';
import { StallProbe, threadCpuMs } from './probe.ts';
import type { ScaleAnswer, ScaleFigures, ScaleRequest, ScaleStart } from './protocol.ts';

const NODES_AT_ONCE = 50;
const MIB = 1024 ** 2;

const stack = new AsyncDisposableStack();
const probe = new StallProbe();
const seen = { placed: 0, running: 0, ready: 0, placedAt: 0, committedAt: 0 };
let core: Core | undefined;

function started(): Core {
  if (core === undefined) throw new Error('the manager was not started');
  return core;
}

async function start(options: ScaleStart): Promise<ScaleAnswer> {
  const logger = silentLogger;
  const ports = { clock: systemClock, random: systemRandom, ids: systemIds, logger };
  const made = await assembleManager({ ...options, ...ports }, stack);
  core = made.core;
  core.store.subscribe((commit) => count(commit));
  const agentSocket = join(options.runDir, 'agents.sock');
  stack.use(await openAgentGate({ core, clusterId: options.clusterId, path: agentSocket }));
  probe.start();
  return { kind: 'started', controlSocket: made.manager.controlSocket, agentSocket };
}

function count(commit: Commit): void {
  const at = performance.timeOrigin + performance.now();
  seen.committedAt = at;
  for (const change of commit.changes) {
    if (change.table === 'node') {
      seen.ready += step(change, (node) => node.status.state === 'ready');
    } else if (change.table === 'task') {
      const placed = step(change, (task) => task.nodeId !== undefined);
      if (placed > 0) seen.placedAt = at;
      seen.placed += placed;
      seen.running += step(change, (task) => task.status.state === 'running');
    }
  }
}

function step<T>(
  change: { readonly before: T | undefined; readonly after: T | undefined },
  is: (object: T) => boolean,
): number {
  const { before, after } = change;
  return Number(after !== undefined && is(after)) - Number(before !== undefined && is(before));
}

async function addNodes(total: number): Promise<void> {
  const { store } = started();
  const { signal } = new AbortController();
  for (let from = 0; from < total; from += NODES_AT_ONCE) {
    await store.update<void>((tx) => {
      for (let at = from; at < Math.min(total, from + NODES_AT_ONCE); at += 1) {
        const now = systemClock.now();
        tx.put('node', newNode(tx, { id: nodeOf(at), role: 'worker', now }));
      }
    }, signal);
  }
}

function figures(): ScaleFigures {
  const { rss, heapUsed } = process.memoryUsage();
  const { user, system } = process.cpuUsage();
  const stall = probe.take();
  return {
    ...seen,
    isLeader: started().leadership.reign !== undefined,
    rssMiB: rss / MIB,
    heapMiB: heapUsed / MIB,
    cpuMs: (user + system) / 1_000,
    mainCpuMs: threadCpuMs(),
    stallMs: stall.wallMs,
    stallCpuMs: stall.cpuMs,
  };
}

async function answer(request: ScaleRequest): Promise<ScaleAnswer> {
  switch (request.kind) {
    case 'start':
      return start(request.options);
    case 'nodes':
      await addNodes(request.count);
      return { kind: 'done' };
    case 'figures':
      return { kind: 'figures', figures: figures() };
    default:
      return { kind: 'failed', error: 'unknown request' };
  }
}

serveParent(
  (request) => answer(request as ScaleRequest),
  () => stack.disposeAsync(),
);
