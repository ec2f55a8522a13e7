/**
 * What is said to let a node take a task does: in random clusters, for every task that waits and every node
 * that refuses it, the commands that are named are carried out, and the task is placed.
 */
import type { ServiceSpecInput, Task } from '@swarmd/model';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { nodeVerdicts } from '../src/index.ts';
import { isOver, isWanted } from '../src/task-view.ts';
import { World } from './world.ts';

const MIB = 1024 ** 2;
/** No command changes these; all else must have a cure. */
const HOPELESS =
  /^(not ready|held back|unsupported platform|host-mode port already in use|no free )/;

const CONSTRAINTS = [
  'node.labels.zone==a',
  'node.labels.zone!=a',
  'node.labels.zone in a, c',
  'node.labels.zone not in a,b',
  'node.labels.zone exists',
  'node.labels.zone not exists',
  'node.labels.rack > 2',
  'node.labels.rack < 2',
  'node.labels.rack==2',
  'node.role==manager',
  'node.hostname!=n1',
  'node.platform.os==plan9',
];

const node = fc.record({
  state: fc.constantFrom('ready', 'ready', 'ready', 'down' as const),
  availability: fc.constantFrom('active', 'active', 'pause', 'drain' as const),
  zone: fc.constantFrom('a', 'b', ''),
  rack: fc.constantFrom('1', '2', '3'),
  cpus: fc.constantFrom(1, 2),
  mebibytes: fc.constantFrom(2, 256, 512),
});

const reservations = fc.record({
  nanoCpus: fc.constantFrom(0, 5e8, 15e8),
  memoryBytes: fc.constantFrom(0, 200 * MIB, 300 * MIB),
});

/** Those that are there before. */
const other = fc.record({
  affinities: fc.constantFrom([], [], ['service!=web'], ['service==~web']),
  replicas: fc.integer({ min: 0, max: 3 }),
  reservations,
});

const web = fc.record({
  replicas: fc.integer({ min: 1, max: 4 }),
  reservations,
  constraints: fc.uniqueArray(fc.constantFrom(...CONSTRAINTS), { maxLength: 2 }),
  affinities: fc.uniqueArray(
    fc.constantFrom('service==x', 'service!=y', 'service==~y', 'service!=nobody'),
    { maxLength: 2 },
  ),
  maxReplicasPerNode: fc.constantFrom(0, 0, 1, 2),
  hostPort: fc.constantFrom(false, false, false, true),
});

const cluster = fc.record({
  nodes: fc.array(node, { minLength: 1, maxLength: 4 }),
  x: other,
  y: other,
  web,
});
type Cluster = typeof cluster extends fc.Arbitrary<infer T> ? T : never;

function worldOf({ nodes, x, y, web: asked }: Cluster): World {
  const world = new World();
  nodes.forEach(({ zone, rack, mebibytes, cpus }, at) => {
    const labels = { ...(zone === '' ? {} : { zone }), rack };
    // Who is to be down or drained was not, when the others came.
    world.node(`n${at + 1}`, {
      cpus,
      availability: 'active',
      labels,
      memoryBytes: mebibytes * MIB,
    });
  });
  for (const [name, { affinities, replicas, reservations: reserved }] of Object.entries({ x, y })) {
    world.create(specOf(name, { replicas, reservations: reserved, placement: { affinities } }));
  }
  world.pass(10_000);
  nodes.forEach(({ state, availability }, at) => world.node(`n${at + 1}`, { state, availability }));
  world.pass(10_000);
  const { replicas, reservations: reserved, hostPort, ...placement } = asked;
  world.create({
    ...specOf('web', { replicas, reservations: reserved, placement }),
    endpoint: {
      ports: hostPort ? [{ targetPort: 80, publishedPort: 8_000, publishMode: 'host' }] : [],
    },
  });
  world.pass(10_000);
  return world;
}

function specOf(
  name: string,
  asked: { replicas: number; reservations: object; placement: object },
): ServiceSpecInput {
  const { replicas, ...task } = asked;
  return {
    name,
    mode: { kind: 'replicated', replicas },
    task: { container: { image: 'good' }, restart: { delayMs: 0 }, ...task },
    update: { parallelism: 0, monitorMs: 0 },
  };
}

/** Tasks without a node. */
function homeless(world: World): Task[] {
  return world
    .tasks()
    .filter((task) => isWanted(task) && !isOver(task) && task.nodeId === undefined);
}

function waiting(world: World): Task[] {
  return homeless(world).filter(({ serviceName }) => serviceName === 'web');
}

/** What the commands do, as far as cures need it. Throws at what it does not know. */
function carryOut(world: World, command: string): void {
  const words = (command.match(/'[^']*'|\S+/g) ?? []).map((word) => word.replaceAll("'", ''));
  const [program, group, verb] = words;
  const name = words.at(-1) ?? '';
  const flags = words.slice(3, -1);
  expect([program, verb]).toEqual(['swarmctl', 'update']);
  for (let at = 0; at < flags.length; at += 2) {
    const [flag = '', value = ''] = flags.slice(at);
    if (group === 'node') changeNode(world, name, { flag, value });
    else changeService(world, name, { flag, value });
  }
}

function changeNode(world: World, name: string, { flag, value }: { flag: string; value: string }) {
  const before = [...world.tables.node.values()].find((one) => one.id === name);
  const labels = { ...before?.spec.labels };
  if (flag === '--availability') {
    world.node(name, { availability: value as 'active' });
    return;
  }
  if (flag === '--label-add') {
    const [key = '', text = ''] = value.split('=');
    labels[key] = text;
  } else {
    expect(flag).toBe('--label-rm');
    delete labels[value];
  }
  world.node(name, { labels });
}

function changeService(
  world: World,
  name: string,
  { flag, value }: { flag: string; value: string },
): void {
  const { spec } = world.service(name);
  const { placement, reservations: reserved } = spec.task;
  const without = (all: readonly string[]): string[] => {
    expect(all).toContain(value);
    return all.filter((one) => one !== value);
  };
  const place = (change: object) => ({ placement: { ...placement, ...change } });
  const reserve = (change: object) => ({ reservations: { ...reserved, ...change } });
  const changed: Record<string, () => object> = {
    '--constraint-rm': () => place({ constraints: without(placement.constraints) }),
    '--affinity-rm': () => place({ affinities: without(placement.affinities) }),
    '--replicas-max-per-node': () => place({ maxReplicasPerNode: Number(value) }),
    '--reserve-cpu': () => reserve({ nanoCpus: Math.round(Number(value) * 1e9) }),
    '--reserve-memory': () => reserve({ memoryBytes: Number.parseInt(value, 10) * MIB }),
  };
  const change = changed[flag];
  expect(change, `service update ${flag}`).toBeDefined();
  const result = world.update({ ...spec, task: { ...spec.task, ...change?.() } });
  expect(result.kind).toBe('allocated');
}

describe('the cures that explain names', () => {
  it('let the node take the task, and only what no command changes has none', () => {
    let tried = 0;
    fc.assert(
      fc.property(cluster, fc.nat(3), (one, which) => {
        const world = worldOf(one);
        const [task] = waiting(world);
        // Others that wait may be quicker to take the room.
        if (task === undefined || homeless(world).length > waiting(world).length) return;
        const verdicts = nodeVerdicts(world.view, task);
        const refusing = verdicts.filter(({ lacks }) => lacks !== undefined);
        const without = refusing
          .filter(({ lacks = '', cure }) => cure === undefined && !HOPELESS.test(lacks))
          .filter(() => !one.web.hostPort);
        expect(without.map(({ lacks }) => lacks)).toEqual([]);
        const curable = refusing.filter(({ cure }) => cure !== undefined);
        const chosen = curable[which % Math.max(1, curable.length)];
        if (chosen === undefined) return;
        const before = waiting(world).length;
        for (const command of chosen.cure ?? []) carryOut(world, command);
        world.pass(60_000);
        expect(waiting(world).length, chosen.cure?.join('; ')).toBeLessThan(before);
        tried += 1;
      }),
      { numRuns: 250 },
    );
    expect(tried).toBeGreaterThan(40);
  });
});
