/**
 * What the real agent (swarmd on a worker) costs with hundreds of containers that do nothing: a lab of one manager and
 * one worker, all tasks on the worker.
 */
import { Lab, waitUntil, type Host } from '@swarmd/lab';

import { commandOf, cpuMs, isAgent } from './host-processes.ts';
import { memoryOf, pidsOf } from './memory.ts';
import { print } from './statistics.ts';

const LAB_NAME = 'benchagent';
const SECOND_MS = 1_000;
/** Started together; all at once would keep a busy machine from answering its manager. */
const STEP = 50;
const STEP_TIMEOUT_MS = 120 * SECOND_MS;
/** What was needed to start them all has been given back by then. */
const SETTLE_MS = 20 * SECOND_MS;
const LOOK_MS = 20 * SECOND_MS;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export async function benchAgent(containers: number): Promise<void> {
  const lab = new Lab({ name: LAB_NAME, managers: 1, workers: 1 });
  await lab.up();
  try {
    const worker = lab.host('w1');
    const empty = memoryOf(worker, isAgent).rss;
    const flags = ['--replicas', '0', '--constraint', 'node.role==worker'];
    const image = [`${lab.layout.registryEndpoint}/busybox:1`, 'sleep', '1000000'];
    const create = ['swarmctl', 'service', 'create', '-d', '--name', 'idle', ...flags, ...image];
    await lab.host('m1').exec(create);
    for (let count = 0; count < containers;) {
      count = Math.min(containers, count + STEP);
      await lab.host('m1').exec(['swarmctl', 'service', 'scale', '-d', `idle=${count}`]);
      await waitUntil({ what: `${count} to run`, timeoutMs: STEP_TIMEOUT_MS }, () =>
        monitors(worker) === count ? true : undefined,
      );
    }
    await pause(SETTLE_MS);
    const before = cpuMs(worker, isAgent);
    const rss: number[] = [];
    const began = performance.now();
    while (performance.now() - began < LOOK_MS) {
      rss.push(memoryOf(worker, isAgent).rss);
      await pause(SECOND_MS);
    }
    const share = ((cpuMs(worker, isAgent) - before) / (performance.now() - began)) * 100;
    const about = { containers, agent: 'swarmd of a worker' };
    print('executor', {
      metric: 'agent-resident',
      unit: 'MiB',
      values: rss,
      target: 150,
      empty: Math.round(empty),
      ...about,
    });
    const unit = '% of a core';
    print('executor', { metric: 'agent-idle-cpu', unit, values: [share], target: 2, ...about });
  } finally {
    await lab.down();
  }
}

function monitors(host: Host): number {
  return pidsOf(host).filter((pid) => commandOf(pid).startsWith('/usr/bin/conmon ')).length;
}
