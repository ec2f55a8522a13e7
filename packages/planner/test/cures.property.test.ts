/**
 * What is said to let a node take a task does: in random clusters, for every task that waits and every node
 * that refuses it, the commands that are named are carried out, and the task is placed.
 */
import { asId, type ServiceSpecInput, type Task } from '@swarmd/model';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { nodeVerdicts } from '../src/index.ts';
import { isOver, isWanted } from '../src/task-view.ts';
import { pluginOf } from './script-spec.ts';
import { World } from './world.ts';

const MIB = 1024 ** 2;
/** No command changes these; all else must have a cure. */
const HOPELESS = /^(not ready|held back)$/;

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

/** Nodes have the others of each kind in any case: who tells of none may have all. */
const DRIVERS = ['volume:nfs', 'log:journald', 'runtime:kata', 'network:macvlan'] as const;
const KINDS = ['volume', 'log', 'runtime', 'network', 'interface'] as const;

const node = fc.record({
  state: fc.constantFrom('ready', 'ready', 'ready', 'down' as const),
  availability: fc.constantFrom('active', 'active', 'pause', 'drain' as const),
  zone: fc.constantFrom('a', 'b', ''),
  rack: fc.constantFrom('1', '2', '3'),
  cpus: fc.constantFrom(1, 2),
  mebibytes: fc.constantFrom(2, 256, 512),
  gpus: fc.constantFrom(0, 1, 3),
  architecture: fc.constantFrom('x86_64', 'aarch64'),
  plugins: fc.subarray([...DRIVERS], { minLength: 0 }),
});

/** Called as what nodes have anyway: it is another thing. */
const GENERIC = 'memory';

const reservations = fc.record({
  nanoCpus: fc.constantFrom(0, 5e8, 15e8),
  memoryBytes: fc.constantFrom(0, 200 * MIB, 300 * MIB),
});

/** Those that are there before. */
const other = fc.record({
  affinities: fc.constantFrom([], [], ['service!=web'], ['service==~web']),
  replicas: fc.integer({ min: 0, max: 3 }),
  reservations,
  hostPort: fc.constantFrom(false, false, true),
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
  gpus: fc.constantFrom(0, 0, 1, 2),
  platforms: fc.constantFrom([], [], ['linux/arm64'], ['windows/', 'linux/amd64']),
  volumes: fc.constantFrom([], [], [], ['nfs']),
  log: fc.constantFrom('', '', 'journald' as const),
  runtime: fc.constantFrom('', '', '', 'kata'),
  network: fc.constantFrom('', '', '', 'wire', 'tiny'),
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
  world.network('wire', {
    driver: 'macvlan',
    subnet: '10.9.0.0/24',
    options: { parent: 'eth1' },
  });
  // Two are left, one of them for the service itself.
  const reserved = { a: '10.8.0.2', b: '10.8.0.3', c: '10.8.0.4' };
  world.network('tiny', { subnet: '10.8.0.0/29', reserved });
  nodes.forEach(({ zone, rack, mebibytes, cpus, gpus, architecture, plugins }, at) => {
    const labels = { ...(zone === '' ? {} : { zone }), rack };
    // Who is to be down or drained was not, when the others came.
    world.node(`n${at + 1}`, {
      cpus,
      availability: 'active',
      labels,
      memoryBytes: mebibytes * MIB,
      generic: [{ kind: GENERIC, count: gpus, names: [] }],
      architecture,
      plugins: [
        ...plugins.map((text) => pluginOf(text)),
        ...KINDS.map((kind) => ({ kind, name: 'other' })),
        { kind: 'network', name: 'overlay' },
      ],
    });
  });
  for (const [name, asked] of Object.entries({ x, y })) {
    const { affinities, hostPort, ...more } = asked;
    const endpoint = endpointOf(hostPort);
    world.create({ ...specOf(name, { ...more, placement: { affinities } }), endpoint });
  }
  world.pass(10_000);
  nodes.forEach(({ state, availability }, at) => world.node(`n${at + 1}`, { state, availability }));
  world.pass(10_000);
  const { replicas, hostPort, constraints, affinities, maxReplicasPerNode } = asked;
  const { platforms, volumes, log, runtime, network, gpus } = asked;
  const generic = gpus === 0 ? [] : [{ kind: GENERIC, count: gpus }];
  const spec = specOf('web', {
    replicas,
    reservations: { ...asked.reservations, generic },
    placement: {
      constraints,
      affinities,
      maxReplicasPerNode,
      platforms: platforms.map((text) => platformOf(text)),
    },
  });
  const mounts = volumes.map((driver) => ({
    kind: 'volume' as const,
    source: 'data',
    target: "/it's data",
    driver,
  }));
  const container = { ...spec.task.container, mounts, runtime, log: { driver: log } };
  world.create({
    ...spec,
    task: {
      ...spec.task,
      container,
      networks: network === '' ? [] : [{ target: network }],
    },
    endpoint: endpointOf(hostPort),
  });
  world.pass(10_000);
  return world;
}

function endpointOf(hasHostPort: boolean): NonNullable<ServiceSpecInput['endpoint']> {
  return {
    ports: hasHostPort ? [{ targetPort: 80, publishedPort: 8_000, publishMode: 'host' }] : [],
  };
}

function platformOf(text: string): { os: string; architecture: string } {
  const [os = '', architecture = ''] = text.split('/');
  return { os, architecture };
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
  // In the quotes of a shell.
  const words = (command.match(/(?:'[^']*'|\\'|[^\s'\\])+/g) ?? []).map((word) =>
    word.replaceAll(
      /'([^']*)'|\\(')/g,
      (_all, inner?: string, quote?: string) => inner ?? quote ?? '',
    ),
  );
  const [program, group, verb] = words;
  const name = words.at(-1) ?? '';
  const flags = words.slice(3, -1);
  expect([program, verb]).toEqual(['swarmctl', 'update']);
  for (let at = 0; at < flags.length; at += 2) {
    const [flag = '', value = ''] = flags.slice(at);
    if (group === 'node') changeNode(world, name, { flag, value });
    else if (group === 'network') {
      const network = world.tables.network.get(asId('network', name));
      if (network === undefined || flag !== '--subnet-add') throw new Error(command);
      const spec = { ...network.spec, moreSubnets: [...network.spec.moreSubnets, value] };
      world.put('network', { ...network, spec });
    } else changeService(world, name, { flag, value });
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
  const { placement, reservations: reserved, container, networks } = spec.task;
  const without = (all: readonly string[]): string[] => {
    expect(all).toContain(value);
    return all.filter((one) => one !== value);
  };
  const place = (change: object) => ({ placement: { ...placement, ...change } });
  const reserve = (change: object) => ({ reservations: { ...reserved, ...change } });
  const changed: Record<string, () => object> = {
    '--platform': () => place({ platforms: [platformOf(value)] }),
    '--generic-resource-add': () => {
      const [kind = '', count] = value.split('=');
      return reserve({ generic: [{ kind, count: Number(count) }] });
    },
    '--generic-resource-rm': () => reserve({ generic: [] }),
    '--mount-rm': () => {
      expect(container.mounts.map(({ target }) => target)).toContain(value);
      return { container: { ...container, mounts: [] } };
    },
    '--log-driver': () => ({ container: { ...container, log: { driver: value } } }),
    '--runtime': () => ({ container: { ...container, runtime: value } }),
    '--network-rm': () => ({ networks: networks.filter(({ target }) => target !== value) }),
    '--constraint-rm': () => place({ constraints: without(placement.constraints) }),
    '--affinity-rm': () => place({ affinities: without(placement.affinities) }),
    '--replicas-max-per-node': () => place({ maxReplicasPerNode: Number(value) }),
    '--reserve-cpu': () => reserve({ nanoCpus: Math.round(Number(value) * 1e9) }),
    '--reserve-memory': () => reserve({ memoryBytes: Number.parseInt(value, 10) * MIB }),
  };
  if (flag === '--publish-rm' || flag === '--publish-add') {
    const fields = Object.fromEntries(value.split(',').map((field) => field.split('=')));
    const ports = [
      {
        targetPort: Number(fields['target']),
        publishedPort: Number(fields['published']),
        publishMode: fields['mode'] as 'host',
      },
    ];
    const endpoint = { ...spec.endpoint, ports: flag === '--publish-rm' ? [] : ports };
    expect(world.update({ ...spec, endpoint }).kind).toBe('allocated');
    return;
  }
  const change = changed[flag];
  expect(change, `service update ${flag}`).toBeDefined();
  const result = world.update({ ...spec, task: { ...spec.task, ...change?.() } });
  expect(result.kind).toBe('allocated');
}

function isPortShared({ x, y }: Cluster): boolean {
  return x.hostPort || y.hostPort;
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
          // Nor can it go through the mesh by a number that another service has of nodes.
          .filter(({ lacks = '' }) => !lacks.startsWith('host-mode') || !isPortShared(one));
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
      { numRuns: 400 },
    );
    expect(tried).toBeGreaterThan(80);
  });
});
