/** What a simulated cluster does by the clock and by use, while managers and links come and go. */
import { wantedReplicas, type JobRun, type NodeId, type Service } from '@swarmd/model';
import { describe, expect, it } from 'vitest';

import { SimWorld } from '../src/testing/simulation/sim-world.ts';
import { unsettled } from '../src/testing/simulation/settled.ts';

const MINUTE_MS = 60_000;
const LIMIT_MS = 120_000;

async function world(seed: number, nodes = 6): Promise<SimWorld> {
  const made = await SimWorld.create({ seed, nodes });
  await made.start();
  await settle(made);
  return made;
}

async function settle(sim: SimWorld): Promise<void> {
  const calm = (): boolean => sim.leader() !== undefined && unsettled(sim).length === 0;
  expect(await sim.run(sim.clock.now() + 120_000, calm)).toBe(true);
}

function only(sim: SimWorld): Service {
  const [service] = sim.judge.view.list('service');
  if (service === undefined) throw new Error('there is no service');
  return service;
}

/** Leaders go in every way: they hand over, they crash and come back, or nobody hears them. */
async function changeLeader(sim: SimWorld): Promise<void> {
  const leader = sim.leader();
  if (leader === undefined) return;
  const { clock, dice } = sim;
  const { seat } = leader;
  switch (dice.pick(['hand-over', 'crash', 'isolate'])) {
    case 'crash':
      await leader[Symbol.asyncDispose]();
      clock.after(dice.between(500, 15_000), () => void sim.startManager(seat));
      break;
    case 'isolate':
      sim.isolated.add(seat.raftId);
      clock.after(dice.between(500, 12_000), () => sim.isolated.delete(seat.raftId));
      break;
    default:
      leader.core.raft.transferLeadership(undefined, new AbortController().signal).catch(() => 0);
  }
}

describe('a job by a schedule', () => {
  it.each([1, 2])(
    'runs each minute once, whoever leads (seed %i)',
    async (seed) => {
      await using sim = await world(seed);
      const { clock } = sim;
      sim.user('create', ({ control }, call) =>
        control.createService(
          {
            spec: {
              name: 'tick',
              mode: { kind: 'replicated-job' },
              task: { container: { image: 'good1' } },
              schedule: { cron: '* * * * *', keepCompleted: 100, concurrency: 'allow' },
            },
          },
          call,
        ),
      );
      await sim.run(clock.now() + 5_000);
      const start = clock.now();
      while (clock.now() < start + 8 * MINUTE_MS) {
        await sim.run(clock.now() + sim.dice.between(2_000, 25_000));
        await changeLeader(sim);
      }
      sim.isolated.clear();
      await sim.run(clock.now() + 30_000);
      const runs: readonly JobRun[] = only(sim).jobStatus?.runs ?? [];
      const planned = runs.map(({ plannedFor = 0 }) => plannedFor);
      const first = Math.ceil(start / MINUTE_MS) * MINUTE_MS;
      const count = Math.floor((clock.now() - first) / MINUTE_MS) + 1;
      expect(planned).toEqual(Array.from({ length: count }, (_, i) => first + i * MINUTE_MS));
      expect(new Set(runs.map(({ iteration }) => iteration)).size).toBe(count);
      expect(runs.every(({ state }) => state === 'complete')).toBe(true);
    },
    LIMIT_MS,
  );
});

describe('autoscaling', () => {
  it.each([1, 2])(
    'comes to what the load needs and stays there, whoever leads (seed %i)',
    async (seed) => {
      await using sim = await world(seed);
      const { clock } = sim;
      let cpus = 2e9;
      sim.load = () => {
        const running = [...sim.agents.values()].flatMap((agent) => agent.containers.running());
        return Math.round(cpus / Math.max(1, running.length));
      };
      sim.user('create', ({ control }, call) =>
        control.createService(
          {
            spec: {
              name: 'web',
              mode: { kind: 'replicated', replicas: 1 },
              task: { container: { image: 'good1' }, reservations: { nanoCpus: 5e8 } },
              autoscale: { min: 2, max: 9, cpuPercent: 50, downWindowMs: 60_000 },
            },
          },
          call,
        ),
      );
      const numbers: number[] = [];
      const pass = async (ms: number): Promise<void> => {
        const until = clock.now() + ms;
        while (clock.now() < until) {
          await sim.run(clock.now() + sim.dice.between(5_000, 40_000));
          const [service] = sim.judge.view.list('service');
          if (service !== undefined) numbers.push(wantedReplicas(service));
          await changeLeader(sim);
        }
        sim.isolated.clear();
        await sim.run(clock.now() + 30_000);
      };
      await pass(6 * MINUTE_MS);
      expect(wantedReplicas(only(sim))).toBe(8);
      cpus = 0.2e9;
      await pass(12 * MINUTE_MS);
      expect(wantedReplicas(only(sim))).toBe(2);
      // Nobody can tell any more: nothing is changed by that.
      sim.load = () => undefined;
      await pass(3 * MINUTE_MS);
      expect(wantedReplicas(only(sim))).toBe(2);
      expect(Math.max(...numbers)).toBeLessThanOrEqual(9);
      const turns = numbers.filter((number, i) => number < (numbers[i - 1] ?? 0)).length;
      expect(numbers.lastIndexOf(8)).toBeLessThan(numbers.indexOf(2, numbers.indexOf(8)));
      expect(turns).toBeLessThanOrEqual(4);
    },
    LIMIT_MS,
  );
});

describe('nodes that come and go', () => {
  async function withTasks(sim: SimWorld, replicas: number): Promise<void> {
    sim.user('create', ({ control }, call) =>
      control.createService(
        {
          spec: {
            name: 'web',
            mode: { kind: 'replicated', replicas },
            task: { container: { image: 'good1' }, restart: { delayMs: 0 } },
            rebalance: { budget: 4, intervalMs: 100 },
          },
        },
        call,
      ),
    );
    await sim.run(sim.clock.now() + 2_000);
    await settle(sim);
  }

  const tasksOn = (sim: SimWorld, id: NodeId) => [...sim.judge.view.tasksByNode(id)];

  it('one that flaps is left out, and comes back once it stays', async () => {
    await using sim = await world(5);
    await withTasks(sim, 12);
    const agent = [...sim.agents.values()].at(-1)!;
    const made: number[] = [];
    for (let times = 0; times < 8; times += 1) {
      const before = new Set(tasksOn(sim, agent.nodeId));
      agent.cut();
      await sim.run(sim.clock.now() + 6_000);
      agent.heal();
      await sim.run(sim.clock.now() + 9_000);
      made.push(tasksOn(sim, agent.nodeId).filter((task) => !before.has(task)).length);
    }
    // Rebalancing brings tasks back after the first losses; later nothing comes until it stays.
    expect(made.slice(3).every((count) => count === 0)).toBe(true);
    const { status } = sim.judge.view.get('node', agent.nodeId)!;
    expect(status.message).toMatch(/lost \d times lately/);
    await sim.run(sim.clock.now() + 20 * MINUTE_MS);
    await settle(sim);
    const after = sim.judge.view.get('node', agent.nodeId)!;
    expect([after.status.state, after.status.heldUntil]).toEqual(['ready', undefined]);
    expect(tasksOn(sim, agent.nodeId).some((task) => task.status.state === 'running')).toBe(true);
  }, 60_000);

  it('many that are lost at once are given up one by one, and those that are back lose nothing', async () => {
    await using sim = await world(6, 10);
    await withTasks(sim, 20);
    const agents = [...sim.agents.values()].slice(-7);
    for (const agent of agents) agent.cut();
    await sim.run(sim.clock.now() + 9_000);
    const down = [...sim.judge.view.list('node')].filter(({ status }) => status.state === 'down');
    expect(down).toHaveLength(7);
    const turns = down
      .flatMap(({ status: { replaceFrom } }) => replaceFrom ?? [])
      .toSorted((a, b) => a - b);
    expect(turns).toHaveLength(2);
    expect((turns[1] ?? 0) - (turns[0] ?? 0)).toBe(10_000);
    const spared = agents.filter(
      ({ nodeId }) => sim.judge.view.get('node', nodeId)?.status.replaceFrom !== undefined,
    );
    const kept = spared.flatMap(({ nodeId }) => tasksOn(sim, nodeId).map(({ id }) => id));
    for (const agent of agents) agent.heal();
    await sim.run(sim.clock.now() + 60_000);
    await settle(sim);
    const running = kept.filter((id) => sim.judge.view.get('task', id)?.desiredState === 'running');
    expect(running.length).toBeGreaterThan(0);
    expect(running).toEqual(kept);
  }, 60_000);
});
