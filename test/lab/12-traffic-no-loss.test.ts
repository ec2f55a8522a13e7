/** No dropped request: what an update, scaling down and a drain look like from outside and inside. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { Host } from '@swarmd/lab';
import type { Task } from '@swarmd/model';

import { evidence } from './load/evidence.ts';
import type { LoadResult } from './load/http-load.ts';
import { startLoad, type Load } from './load/start-load.ts';
import {
  BUSYBOX,
  ctl,
  hostOf,
  lab,
  NGINX,
  NGINX_2,
  ok,
  remove,
  service,
  until,
  untilRunning,
} from './support.ts';

const PORT = 8091;
const HEALTHY = [
  '--health-cmd',
  'wget -q -O /dev/null http://127.0.0.1/',
  '--health-interval',
  '300ms',
];
const LOAD = { workers: 8, periodMs: 25 };

let client: Task;
let inside: Host;

beforeAll(async () => {
  await ok('network', 'create', 'calm');
  await ok('service', 'create', '--name', 'asker', '--network', 'calm', BUSYBOX, 'sleep', '100000');
  const [found] = await untilRunning('asker', 1);
  if (found === undefined) throw new Error('no asker');
  client = found;
  inside = await hostOf(client);
});

afterAll(async () => {
  for (const host of ['w1', 'w2'])
    await ctl('m1', 'node', 'update', '--availability', 'active', host);
  await remove('shop', 'asker');
  await ctl('m1', 'network', 'rm', 'calm');
});

/** Clients outside at every node, and one in a container by name: each with and without keep-alive. */
function startAll(): Load[] {
  const hosts = lab.nodes.map((host) => host.place.address);
  return [true, false].flatMap((keepAlive) => [
    startLoad(lab.client, { ...LOAD, keepAlive, hosts, port: PORT }),
    startLoad(
      inside,
      { ...LOAD, keepAlive, hosts: ['shop'], port: 80, nameserver: '127.0.0.11' },
      client,
    ),
  ]);
}

async function underLoad(change: () => Promise<unknown>): Promise<void> {
  const loads = startAll();
  try {
    await Promise.all(loads.map((load) => load.started));
    await change();
  } finally {
    for (const load of loads) load.stop();
  }
  const results = await Promise.all(loads.map((load) => load.result));
  const [requests, repeated] = [sum(results, 'requests'), sum(results, 'repeated')];
  process.stdout.write(
    `${JSON.stringify({ requests, repeated, failed: sum(results, 'failed') })}\n`,
  );
  if (sum(results, 'failed') > 0) process.stderr.write(`${await evidence('shop')}\n`);
  expect(results.map(({ failures }) => failures)).toEqual(results.map(() => []));
  for (const result of results) expect(result.requests).toBeGreaterThan(20);
}

function sum(results: readonly LoadResult[], field: 'requests' | 'repeated' | 'failed'): number {
  return results.reduce((total, result) => total + result[field], 0);
}

async function untilUpdated(): Promise<void> {
  await until('the update to be complete', async () => {
    const { updateStatus } = await service('shop');
    return updateStatus?.state === 'completed' ? true : undefined;
  });
}

describe.each(['stop-first', 'start-first'])('a service of two, updated %s', (order) => {
  beforeAll(async () => {
    const flags = [
      '--update-order',
      order,
      '--update-monitor',
      '100ms',
      '--stop-signal',
      'SIGQUIT',
    ];
    await ok(
      ...`service create --name shop --replicas 2 --network calm --publish ${PORT}:80`.split(' '),
      ...HEALTHY,
      ...flags,
      NGINX,
    );
    await untilRunning('shop', 2);
  });
  afterAll(() => remove('shop'));

  it('loses no request in an update', async () => {
    await underLoad(async () => {
      await ok('service', 'update', '--image', NGINX_2, 'shop');
      await untilUpdated();
    });
  });

  it.runIf(order === 'stop-first')('loses none when it grows and shrinks', async () => {
    await underLoad(async () => {
      await ok('service', 'scale', 'shop=4');
      await untilRunning('shop', 4);
      await ok('service', 'scale', 'shop=1');
      await untilRunning('shop', 1);
    });
  });

  it.runIf(order === 'start-first')('loses none when a node is drained', async () => {
    // Not where the client is, which would go with its node.
    const first = (await untilRunning('shop', 2)).find(({ nodeId }) => nodeId !== client.nodeId);
    const name = (await hostOf(first!)).name;
    await underLoad(async () => {
      await ok('node', 'update', '--availability', 'drain', name);
      await until('the task to run elsewhere', async () => {
        const tasks = await untilRunning('shop', 2);
        return tasks.every((task) => task.nodeId !== first!.nodeId) ? true : undefined;
      });
    });
    await ok('node', 'update', '--availability', 'active', name);
  });
});
