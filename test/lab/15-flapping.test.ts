/** A link that comes and goes: after the first loss the node is held back, and little moves. */
import type { Node, Task } from '@swarmd/model';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { BUSYBOX, lab, ok, remove, running, tasks, until, untilRunning } from './support.ts';

const HOST = 'w1';
const REPLICAS = 10;

async function flapping(): Promise<Node> {
  const nodes = JSON.parse(await ok('node', 'ls', '--format', 'json')) as Node[];
  const found = nodes.find(({ description }) => description?.hostname === HOST);
  if (found === undefined) throw new Error(`no node ${HOST}`);
  return found;
}

function untilNode(what: string, test: (status: Node['status']) => boolean): Promise<Node> {
  return until(`${HOST} to be ${what}`, async () => {
    const node = await flapping();
    return test(node.status) ? node : undefined;
  });
}

async function flap(): Promise<Node> {
  await lab.cut(HOST);
  await untilNode('down', ({ state }) => state === 'down');
  await lab.heal(HOST);
  return untilNode('ready', ({ state }) => state === 'ready');
}

async function onNode(): Promise<Task[]> {
  const { id } = await flapping();
  return (await running('steady')).filter(({ nodeId }) => nodeId === id);
}

beforeAll(async () => {
  // What other suites did to it is forgotten.
  await ok('swarm', 'update', '--flap-hold', '10m', '--flap-decay', '1s');
  const flags = ['--name', 'steady', '--replicas', `${REPLICAS}`, '--restart-delay', '0'];
  const quick = ['--stop-signal', 'SIGKILL', '--rebalance-budget', '4'];
  await ok(
    'service',
    'create',
    ...flags,
    ...quick,
    '--rebalance-interval',
    '1s',
    BUSYBOX,
    'sleep',
    '9999',
  );
});

afterAll(async () => {
  await lab.heal(HOST);
  await ok('swarm', 'update', '--flap-hold', '0', '--flap-hold-max', '10m', '--flap-decay', '10m');
  await lab.cluster.allReady(lab.host('m1'));
  await remove('steady');
});

it('the first loss moves its tasks and is forgiven: rebalancing brings some back', async () => {
  expect((await onNode()).length).toBe(2);
  const back = await flap();
  expect(back.status.heldUntil).toBeUndefined();
  await untilRunning('steady', REPLICAS);
  await until('tasks to come back', async () => ((await onNode()).length > 0 ? true : undefined));
});

it('each further one is followed by a time without new tasks, so that nothing moves to and fro', async () => {
  await ok('swarm', 'update', '--flap-decay', '10m');
  await flap();
  await untilRunning('steady', REPLICAS);
  const made = (await tasks('steady')).length;
  for (let times = 0; times < 3; times += 1) {
    const { status } = await flap();
    expect(status.message).toMatch(/lost \d times lately: it gets no new tasks/);
    expect(status.heldUntil).toBeGreaterThan(0);
  }
  expect(await ok('node', 'ls')).toMatch(/w1.*Ready, held back/);
  expect(await ok('explain', 'node', HOST)).toMatch(/takes no new tasks yet: it comes and goes/);
  expect(await onNode()).toEqual([]);
  expect((await tasks('steady')).length).toBe(made);
});

it('after that it is used again once it has stayed', async () => {
  await ok('swarm', 'update', '--flap-hold', '1s', '--flap-hold-max', '1s');
  await flap();
  await untilNode('free', ({ heldUntil }) => heldUntil === undefined);
  await until('tasks to come back', async () => ((await onNode()).length > 0 ? true : undefined));
  // Moves stop a task before its successor starts, as updates of this service do.
  await untilRunning('steady', REPLICAS);
});
