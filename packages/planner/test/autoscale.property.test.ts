/** Autoscaling under whatever load: bounds, windows, silence, and peace where the load is steady. */
import * as fc from 'fast-check';
import { wantedReplicas } from '@swarmd/model';
import { describe, expect, it } from 'vitest';

import { World } from './world.ts';

const STEP_MS = 5_000;
const CPUS = 0.5;
const TARGET = 0.5;

const policy = fc.record({
  min: fc.integer({ min: 1, max: 4 }),
  max: fc.integer({ min: 4, max: 12 }),
  cpuPercent: fc.constant(TARGET * 100),
  upWindowMs: fc.constantFrom(0, 10_000, 60_000),
  downWindowMs: fc.constantFrom(0, 30_000, 300_000),
  stepUp: fc.integer({ min: 1, max: 5 }),
  stepDown: fc.integer({ min: 1, max: 5 }),
  warmupMs: fc.constantFrom(0, 30_000),
});
type Policy = typeof policy extends fc.Arbitrary<infer T> ? T : never;

/** CPUs that the clients ask for altogether, and for how many looks; some tasks may be silent. */
const load = fc.record({
  cpus: fc.constantFrom(0, 0.2, 0.5, 1, 1.3, 2, 2.6, 10),
  looks: fc.integer({ min: 1, max: 30 }),
  silent: fc.constantFrom<number>(0, 0, 0, 1, 2),
});
type Load = typeof load extends fc.Arbitrary<infer T> ? T : never;

function start(chosen: Policy): World {
  const world = new World();
  for (const name of ['n1', 'n2', 'n3']) world.node(name, { cpus: 64 });
  world.create({
    name: 'web',
    mode: { kind: 'replicated', replicas: 3 },
    task: { container: { image: 'good' }, reservations: { nanoCpus: CPUS * 1e9 } },
    autoscale: chosen,
  });
  world.pass(1_000);
  return world;
}

/** The load is shared by those that run. @returns the numbers of replicas, look by look. */
function put(world: World, { cpus, looks, silent }: Load): number[] {
  const numbers: number[] = [];
  for (let look = 0; look < looks; look += 1) {
    world.now += STEP_MS;
    world.settle();
    const running = world.tasks().filter((task) => task.status.state === 'running');
    for (const [at, task] of running.entries()) {
      if (at < silent) world.usage.delete(task.id);
      else {
        const nanoCpus = (cpus / running.length) * 1e9;
        world.usage.set(task.id, { taskId: task.id, at: world.now, nanoCpus, memoryBytes: 0 });
      }
    }
    world.autoscale('web');
    const number = wantedReplicas(world.service('web'));
    world.autoscale('web');
    // Looking twice decides nothing else.
    expect(wantedReplicas(world.service('web'))).toBe(number);
    numbers.push(number);
  }
  return numbers;
}

describe('autoscaling', () => {
  it('keeps to its bounds and steps, and takes nothing away while a task is silent', () => {
    fc.assert(
      fc.property(policy, fc.array(load, { minLength: 1, maxLength: 8 }), (chosen, loads) => {
        const world = start(chosen);
        let before = wantedReplicas(world.service('web'));
        for (const one of loads) {
          for (const number of put(world, one)) {
            expect(number).toBeGreaterThanOrEqual(chosen.min);
            expect(number).toBeLessThanOrEqual(chosen.max);
            expect(number - before).toBeLessThanOrEqual(chosen.stepUp);
            const leastAllowed = one.silent > 0 ? before : before - chosen.stepDown;
            expect(number).toBeGreaterThanOrEqual(leastAllowed);
            before = number;
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  it('comes to rest under a steady load, at a number that carries it, and never turns back', () => {
    fc.assert(
      fc.property(policy, load, load, (chosen, first, second) => {
        const world = start(chosen);
        put(world, first);
        const steady = { ...second, silent: 0, looks: 400 };
        const numbers = put(world, steady);
        const turns = numbers.filter((number, at) => {
          const [a, b] = [numbers[at - 1] ?? number, numbers[at + 1] ?? number];
          return (number > a && number > b) || (number < a && number < b);
        });
        expect(turns).toEqual([]);
        const needed = steady.cpus / (CPUS * TARGET);
        const [low, high] = [Math.floor(needed / 1.1), Math.ceil(needed / 0.9)];
        const clamp = (n: number) => Math.min(chosen.max, Math.max(chosen.min, n));
        expect(numbers.at(-1)).toBeGreaterThanOrEqual(clamp(low));
        expect(numbers.at(-1)).toBeLessThanOrEqual(clamp(high));
        expect(new Set(numbers.slice(-50)).size).toBe(1);
      }),
      { numRuns: 25 },
    );
  });
});
