import * as fc from 'fast-check';
import { isWantedState, type ServiceId, type ServiceSpecInput, isTerminal } from '@swarmd/model';
import { describe, expect, it } from 'vitest';

import { countTasks, planService } from '../src/index.ts';
import {
  checkCanary,
  checkForgotten,
  checkInvariants,
  checkSlots,
  checkStarts,
  unexplained,
} from './invariants.ts';
import { World } from './world.ts';

const MIB = 1024 ** 2;
const JOB_TASKS_MAX = 2;
const NODES = ['n1', 'n2', 'n3', 'n4'];
/** Two of replicas, one on every node, one job, and one that runs every minute. */
const SERVICES = ['a', 'b', 'g', 'j', 'c'];

type Action =
  | { kind: 'write'; service: string; spec: Choices }
  | { kind: 'remove'; service: string }
  | { kind: 'rollback'; service: string }
  | { kind: 'continue'; service: string }
  | { kind: 'node'; node: string; state: 'ready' | 'down' | 'unknown' }
  | { kind: 'availability'; node: string; availability: 'active' | 'pause' | 'drain' }
  | { kind: 'remove-node'; node: string }
  | { kind: 'agents'; salt: number }
  | { kind: 'fail'; salt: number }
  | { kind: 'plan'; service: string }
  /** Everybody acts once: all plans, then most agents. */
  | { kind: 'round'; salt: number }
  | { kind: 'wait'; ms: number };

interface Choices {
  image: string;
  replicas: number;
  memoryMiB: number;
  parallelism: number;
  order: 'stop-first' | 'start-first';
  failureAction: 'pause' | 'continue' | 'rollback';
  condition: 'none' | 'on-failure' | 'any';
  maxAttempts: number;
  delayMs: number;
  hostPort: boolean;
  standby: number;
  priority: number;
  moves: number;
  zones: boolean;
  canary: NonNullable<NonNullable<ServiceSpecInput['update']>['canary']>;
}

const choices: fc.Arbitrary<Choices> = fc.record({
  image: fc.constantFrom('good1', 'good2', 'good3', 'job', 'broken', 'crash'),
  replicas: fc.constantFrom(0, 1, 2, 3, 3, 4),
  memoryMiB: fc.constantFrom(0, 100, 400),
  parallelism: fc.constantFrom(0, 1, 2),
  order: fc.constantFrom('stop-first', 'stop-first', 'start-first'),
  failureAction: fc.constantFrom('pause', 'continue', 'rollback'),
  condition: fc.constantFrom('any', 'any', 'on-failure', 'none'),
  maxAttempts: fc.constantFrom(0, 0, 2),
  delayMs: fc.constantFrom(0, 1_000, 5_000),
  hostPort: fc.constantFrom(false, false, true),
  standby: fc.constantFrom(0, 0, 1),
  priority: fc.constantFrom(0, 0, 1, 2),
  moves: fc.constantFrom(0, 0, 2),
  zones: fc.boolean(),
  canary: fc.constantFrom(
    [],
    [],
    [{ tasks: 1 }],
    [{ percent: 30, healthMs: 5_000 }, { tasks: 2 }],
    [{ percent: 50 }, { percent: 100, healthMs: 1_000 }],
  ),
});

const service = fc.constantFrom(...SERVICES);
const node = fc.constantFrom(...NODES);
const salt = fc.integer({ min: 0, max: 1_000 });
const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('write'), service, spec: choices }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('remove'), service }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('rollback'), service }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('continue'), service }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('node'),
      node,
      state: fc.constantFrom('ready', 'ready', 'down', 'unknown'),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('availability'),
      node,
      availability: fc.constantFrom('active', 'active', 'pause', 'drain'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('remove-node'), node }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('agents'), salt }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('fail'), salt }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('plan'), service }) },
  { weight: 14, arbitrary: fc.record({ kind: fc.constant('round'), salt }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('wait'),
      ms: fc.constantFrom(10, 1_000, 6_000, 120_000),
    }),
  },
) as fc.Arbitrary<Action>;

function specOf(name: string, chosen: Choices): ServiceSpecInput {
  const port = 9_000 + SERVICES.indexOf(name);
  return {
    name,
    mode: modeOf(name, chosen.replicas),
    task: {
      container: { image: chosen.image },
      reservations: { memoryBytes: chosen.memoryMiB * MIB },
      restart: {
        condition: chosen.condition,
        maxAttempts: chosen.maxAttempts,
        delayMs: chosen.delayMs,
      },
      networks: [{ target: 'net' }],
      placement: {
        priority: chosen.priority,
        preempts: chosen.priority > 0,
        preferences: chosen.zones ? [{ spread: 'node.labels.zone' }] : [],
      },
    },
    ...(name === 'j' || name === 'c' ? {} : { update: updateOf(chosen) }),
    ...(name === 'c' ? { schedule: scheduleOf(chosen) } : {}),
    standby: name === 'a' || name === 'b' ? chosen.standby : 0,
    rebalance: { budget: chosen.moves },
    endpoint: {
      ports: chosen.hostPort ? [{ targetPort: 80, publishedPort: port, publishMode: 'host' }] : [],
    },
  };
}

/** Of runs that go on together each has slots of its own, which the checks of slots do not know. */
function scheduleOf(chosen: Choices): ServiceSpecInput['schedule'] {
  const concurrency = chosen.zones ? 'replace' : 'forbid';
  return { cron: '* * * * *', concurrency, suspended: chosen.moves > 0 };
}

function modeOf(name: string, replicas: number): ServiceSpecInput['mode'] {
  if (name === 'g') return { kind: 'global' };
  if (name === 'j' || name === 'c')
    return { kind: 'replicated-job', totalCompletions: replicas, maxConcurrent: JOB_TASKS_MAX };
  return { kind: 'replicated', replicas };
}

function updateOf(chosen: Choices): ServiceSpecInput['update'] {
  return {
    parallelism: chosen.parallelism,
    order: chosen.order,
    failureAction: chosen.failureAction,
    canary: chosen.canary,
  };
}

/** The service of that name, and those of that name that were removed and have tasks left. */
function idsOf(world: World, name: string): ServiceId[] {
  return world.serviceIds().filter((id) => id.split('#')[0] === name);
}

function planAndCheck(world: World, id: ServiceId): void {
  const before = new Map(world.tasks().map((task) => [task.id, task]));
  const plan = world.plan(id);
  checkStarts(world, plan, before);
  checkForgotten(world, plan, before);
  checkCanary(world, plan, before);
  checkSlots(world, id);
}

/** As the control API does: tasks there are orphaned in the same transaction. */
function removeNode(world: World, name: string): void {
  world.tables.node.delete(name);
  for (const task of world.tasks()) {
    if (task.nodeId !== name || isTerminal(task.status.state)) continue;
    world.put('task', { ...task, status: { ...task.status, state: 'orphaned' } });
  }
}

function act(world: World, step: Action): void {
  switch (step.kind) {
    case 'write': {
      const spec = specOf(step.service, step.spec);
      if (world.serviceNamed(step.service) !== undefined) world.update(spec);
      else world.create(spec);
      break;
    }
    case 'remove':
      world.tables.service.delete(world.serviceNamed(step.service)?.id ?? '');
      break;
    case 'rollback':
      if (world.serviceNamed(step.service) !== undefined) world.rollback(step.service);
      break;
    case 'continue':
      if (world.serviceNamed(step.service) !== undefined) world.proceed(step.service);
      break;
    case 'node':
      world.node(step.node, { state: step.state, memoryBytes: 1_000 * MIB });
      break;
    case 'availability':
      world.node(step.node, { availability: step.availability, memoryBytes: 1_000 * MIB });
      break;
    case 'remove-node':
      removeNode(world, step.node);
      break;
    case 'agents':
      world.agents((task) => (step.salt * 7 + Number(task.id.slice(1))) % 3 > 0);
      break;
    case 'fail': {
      const running = world.tasks().filter((task) => task.status.state === 'running');
      const task = running[step.salt % Math.max(1, running.length)];
      if (task !== undefined) world.report(task, step.salt % 2 === 0 ? 'failed' : 'complete');
      break;
    }
    case 'plan':
      for (const id of idsOf(world, step.service)) planAndCheck(world, id);
      break;
    case 'round':
      for (const id of world.serviceIds()) planAndCheck(world, id);
      world.agents((task) => (step.salt + Number(task.id.slice(1))) % 5 > 0);
      break;
    case 'wait':
      world.now += step.ms;
      break;
  }
}

function start(): World {
  const world = new World();
  for (const [at, name] of NODES.slice(0, 3).entries()) {
    world.node(name, { memoryBytes: 1_000 * MIB, labels: { zone: at < 2 ? 'a' : 'b' } });
  }
  // So small that addresses are used again.
  world.network('net', { subnet: '10.9.0.0/27' });
  return world;
}

function checkConverged(world: World, name: string, replicas: number): void {
  const isJob = name === 'j';
  const count = name === 'g' ? world.tables.node.size : replicas;
  const service = world.service(name);
  const wanted = world
    .tasks()
    .filter((task) => task.serviceId === service.id && isWantedState(task.desiredState));
  const standbys = wanted.filter((task) => task.slot === 0);
  expect(standbys.map((task) => task.status.state)).toEqual(
    Array.from({ length: service.spec.standby }, () => 'ready'),
  );
  const alive = wanted.filter((task) => task.slot > 0);
  const expected = isJob ? 'job complete' : 'fine running';
  expect(alive.map((task) => `${task.spec.container.image} ${task.status.state}`)).toEqual(
    Array.from({ length: count }, () => expected),
  );
  expect(new Set(alive.map((task) => task.slot)).size).toBe(count);
  expect(service.updateStatus?.state ?? 'completed').toBe('completed');
  const { desired, running, completed } = countTasks(world.view, service);
  expect([desired, running, completed]).toEqual(isJob ? [count, 0, count] : [count, count, 0]);
}

/** Suspended at last: what was begun goes on or has ended, and only as many runs are kept as are to be. */
function checkRuns(world: World): void {
  const service = world.service('c');
  const runs = service.jobStatus?.runs ?? [];
  for (const { iteration } of runs.filter(({ state }) => state === 'active')) {
    const left = world.tasks().filter((task) => task.jobIteration === iteration);
    // Its images never end.
    expect(left.map((task) => task.status.state)).toContain('running');
  }
  expect(runs.filter(({ state }) => state === 'complete').length).toBeLessThanOrEqual(3);
  const kept = new Set(runs.map(({ iteration }) => iteration));
  for (const task of world.tasks()) {
    expect(task.serviceId !== service.id || kept.has(task.jobIteration ?? 0)).toBe(true);
  }
}

const actions = fc.array(action, { minLength: 5, maxLength: 60, size: 'max' });
/** What has not come to rest by then restarts without a pause. */
const ROUNDS_MAX = 40;
const NUMBER_OF_RUNS = Number(process.env['RUNS'] ?? 100);

describe('planService, whatever happens', () => {
  it('keeps its promises after every step, and repeats nothing', () => {
    fc.assert(
      fc.property(actions, (steps) => {
        const world = start();
        for (const step of steps) {
          act(world, step);
          checkInvariants(world);
          if (step.kind !== 'plan') continue;
          const again = idsOf(world, step.service).flatMap(
            (id) =>
              planService(world.view, id, { now: world.now, ids: { next: () => 'again' } }).ops,
          );
          expect(again.map((op) => JSON.stringify(op).slice(0, 900))).toEqual([]);
        }
      }),
      { numRuns: NUMBER_OF_RUNS },
    );
  });

  it('says of everything that does not get on what it waits for', () => {
    let seen = 0;
    fc.assert(
      fc.property(actions, (steps) => {
        const world = start();
        for (const step of steps) act(world, step);
        for (let round = 0; round < ROUNDS_MAX; round += 1) {
          const before = world.version;
          for (const id of world.serviceIds()) world.plan(id);
          world.agents();
          if (world.version === before) break;
          if (round === ROUNDS_MAX - 1) return;
        }
        seen += 1;
        const context = { now: world.now, ids: { next: () => 'again' } };
        expect(unexplained(world, (id) => planService(world.view, id, context))).toEqual([]);
      }),
      { numRuns: NUMBER_OF_RUNS },
    );
    // What restarts without a pause comes to no rest; most do.
    expect(seen).toBeGreaterThan(NUMBER_OF_RUNS / 2);
  });

  it('converges from any state once the trouble is over', () => {
    fc.assert(
      fc.property(actions, fc.integer({ min: 0, max: 4 }), (steps, replicas) => {
        const world = start();
        for (const step of steps) act(world, step);
        for (const name of NODES) {
          world.node(name, { state: 'ready', availability: 'active', memoryBytes: 1_000 * MIB });
        }
        const wanted: Choices = {
          image: 'fine',
          replicas,
          memoryMiB: 100,
          parallelism: 2,
          order: 'stop-first',
          failureAction: 'pause',
          condition: 'any',
          maxAttempts: 0,
          delayMs: 1_000,
          hostPort: false,
          standby: 1,
          priority: 0,
          moves: 1,
          zones: true,
          canary: [],
        };
        for (const name of SERVICES) {
          const spec = specOf(
            name,
            name === 'j' || name === 'c' ? { ...wanted, image: 'job' } : wanted,
          );
          if (world.serviceNamed(name) !== undefined) world.update(spec);
          else world.create(spec);
        }
        world.pass(10 * 60_000);
        checkInvariants(world);
        for (const name of SERVICES) {
          if (name !== 'c') checkConverged(world, name, replicas);
        }
        checkRuns(world);
      }),
      { numRuns: NUMBER_OF_RUNS },
    );
  });
});
