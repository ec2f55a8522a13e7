/** What is kept of the nodes between plans changes no decision: random histories, beside looking at everything. */
import { asId, type ServiceSpecInput, type Task } from '@swarmd/model';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { demandOf } from '../src/place/filters.ts';
import { Ranking } from '../src/place/ranking.ts';
import { Usage } from '../src/place/usage.ts';
import { planService } from '../src/index.ts';
import { SlowRanking, withoutMemory } from './slow-ranking.ts';
import { World } from './world.ts';
import { SequentialIds } from '@swarmd/base/testing';

const MIB = 1024 ** 2;
const NODES = 5;
const SERVICES = ['x', 'y', 'z', 'g'];

type Placing = NonNullable<NonNullable<ServiceSpecInput['task']>['placement']>;

const placement: fc.Arbitrary<Placing> = fc.record({
  strategy: fc.constantFrom('spread', 'spread', 'binpack'),
  preferences: fc.constantFrom(
    [],
    [],
    [{ spread: 'node.labels.zone' }],
    [{ spread: 'node.labels.zone' }, { spread: 'node.labels.rack' }],
  ),
  affinities: fc.constantFrom(
    [],
    [],
    ['service==x'],
    ['service!=y'],
    ['service==~x'],
    ['service!=~y', 'service==~z'],
  ),
  constraints: fc.constantFrom([], [], ['node.labels.zone==a'], ['node.labels.rack > 1']),
  maxReplicasPerNode: fc.constantFrom(0, 0, 1, 2),
  priority: fc.constantFrom(0, 0, 1, 2),
  preempts: fc.boolean(),
});

/** Who is important gets the place of others. */
const ranks: fc.Arbitrary<Placing> = fc.record({
  priority: fc.constantFrom(0, 1, 2, 3),
  preempts: fc.constant(true),
});

const stepOf = (placing: fc.Arbitrary<Placing>) =>
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant('write' as const),
        service: fc.constantFrom(...SERVICES),
        replicas: fc.integer({ min: 0, max: 9 }),
        memoryMiB: fc.constantFrom(0, 100, 200),
        hostPort: fc.constantFrom(false, false, true),
        moves: fc.constantFrom(0, 2),
        placement: placing,
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant('node' as const),
        at: fc.integer({ min: 1, max: NODES }),
        state: fc.constantFrom('ready', 'ready', 'down' as const),
        availability: fc.constantFrom('active', 'active', 'pause', 'drain' as const),
        zone: fc.constantFrom('a', 'b', ''),
        rack: fc.constantFrom('1', '2', '3'),
        memoryMiB: fc.constantFrom(300, 400),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant('no-node' as const), at: fc.nat(NODES) }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('remove' as const),
        service: fc.constantFrom(...SERVICES),
      }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('fail' as const), at: fc.nat(30) }) },
    {
      weight: 3,
      arbitrary: fc.record({ kind: fc.constant('agents' as const), odd: fc.boolean() }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('pass' as const),
        ms: fc.constantFrom(1_000, 6_000),
      }),
    },
  );
type Step = ReturnType<typeof stepOf> extends fc.Arbitrary<infer T> ? T : never;

function newWorld(): World {
  const world = new World();
  for (let at = 1; at <= NODES; at += 1) {
    const labels = { zone: at % 3 === 0 ? 'b' : 'a', rack: `${(at % 2) + 1}` };
    world.node(`n${at}`, { labels, memoryBytes: 300 * MIB });
  }
  return world;
}

function specOf(one: Extract<Step, { kind: 'write' }>): ServiceSpecInput {
  const { service, replicas, memoryMiB, hostPort, moves } = one;
  const isGlobal = service === 'g';
  const { maxReplicasPerNode, ...rest } = one.placement;
  return {
    name: service,
    mode: isGlobal ? { kind: 'global' } : { kind: 'replicated', replicas },
    task: {
      container: { image: 'good' },
      reservations: { memoryBytes: memoryMiB * MIB },
      restart: { condition: 'any', delayMs: 0 },
      placement: isGlobal ? rest : { ...rest, maxReplicasPerNode },
    },
    ...(isGlobal ? {} : { rebalance: { budget: moves, intervalMs: 500 } }),
    endpoint: {
      ports: hostPort ? [{ targetPort: 80, publishedPort: 8_000, publishMode: 'host' }] : [],
    },
  };
}

function play(world: World, one: Step): void {
  switch (one.kind) {
    case 'write':
      if (world.serviceNamed(one.service) === undefined) world.create(specOf(one));
      else world.update(specOf(one));
      break;
    case 'node': {
      const { at, state, availability, zone, rack, memoryMiB } = one;
      const labels = { ...(zone === '' ? {} : { zone }), rack };
      world.node(`n${at}`, { state, availability, labels, memoryBytes: memoryMiB * MIB });
      break;
    }
    case 'no-node':
      world.tables.node.delete(asId('node', `n${one.at}`));
      break;
    case 'remove': {
      const service = world.serviceNamed(one.service);
      if (service !== undefined) world.tables.service.delete(service.id);
      break;
    }
    case 'fail': {
      const running = world.tasks().filter((task) => task.status.state === 'running');
      const task = running[one.at % Math.max(1, running.length)];
      if (task !== undefined) world.report(task, 'failed');
      break;
    }
    case 'agents':
      world.agents((task) => !one.odd || task.slot % 2 === 1);
      break;
    case 'pass':
      world.now += one.ms;
      break;
  }
}

/** What was decided; which free address comes next may differ. */
function decided(world: World): string[] {
  return world
    .tasks()
    .map((task) =>
      JSON.stringify([
        task.id,
        task.serviceName,
        task.slot,
        task.nodeId,
        task.desiredState,
        task.status,
        task.nominated,
        task.preemptedBy,
        task.because,
      ]),
    );
}

describe('what is kept of the nodes between plans', () => {
  it.each([
    ['wherever tasks want to be', placement],
    ['whoever has to make room', ranks],
  ])('changes no decision, %s', (_what, placing) => {
    fc.assert(
      fc.property(fc.array(stepOf(placing), { minLength: 5, maxLength: 25 }), (steps) => {
        const [kept, forgetful] = [newWorld(), newWorld()];
        const ids = new SequentialIds('t');
        for (const one of steps) {
          play(kept, one);
          play(forgetful, one);
          for (const id of kept.serviceIds()) {
            kept.plan(id);
            const view = withoutMemory(forgetful.view);
            forgetful.apply(planService(view, id, { now: forgetful.now, ids }).ops);
          }
          expect(decided(kept)).toEqual(decided(forgetful));
        }
      }),
      { numRuns: 80 },
    );
  });

  it('names the node that looking at all of them names', () => {
    fc.assert(
      fc.property(fc.array(stepOf(placement), { minLength: 5, maxLength: 20 }), (steps) => {
        const world = newWorld();
        for (const one of steps) {
          play(world, one);
          for (const id of world.serviceIds()) world.plan(id);
          for (const task of samples(world)) compare(world, task);
        }
      }),
      { numRuns: 60 },
    );
  });
});

/** One task of each service as if it had no node. */
function samples(world: World): Task[] {
  return [...Map.groupBy(world.tasks(), ({ serviceId }) => serviceId).values()].flatMap(
    ([task]) => {
      if (task === undefined) return [];
      const { nodeId: _none, nominated: _nor, ...rest } = task;
      return [rest];
    },
  );
}

function compare(world: World, task: Task): void {
  const { view, now } = world;
  const usage = new Usage(view);
  const tasks = [...view.tasksByService(task.serviceId)];
  const ranking = new Ranking({
    view,
    usage,
    demand: demandOf(view, task),
    serviceId: task.serviceId,
    tasks,
    now,
  });
  const placed: Task[] = [];
  for (let more = 0; more < 4; more += 1) {
    const slow = new SlowRanking(view, task, { placed, now });
    expect(ranking.bestOfEachBranch().map(({ id }) => id)).toEqual(slow.bestOfEachBranch());
    const best = ranking.best();
    expect(best?.id).toEqual(slow.best());
    // Asked for here and there only: then all nodes are asked, and what they say is kept.
    const isAsked = best === undefined || (more === 2 && task.slot % 3 === 0);
    expect(isAsked ? ranking.refusals() : []).toEqual(isAsked ? slow.refusals() : []);
    if (best === undefined) return;
    const one: Task = {
      ...task,
      id: asId('task', `p${more}`),
      nodeId: best.id,
      desiredState: 'running',
      status: { ...task.status, state: 'assigned' },
    };
    usage.hold(one);
    placed.push(one);
    ranking.took();
  }
}
