/** Whole clusters under faults, from seeds. A failing seed is played again with `npm run sim:cluster`. */
import type { Service } from '@swarmd/model';
import { describe, expect, it } from 'vitest';

import { runSeed } from '../src/testing/simulation/run-seed.ts';
import { SimWorld } from '../src/testing/simulation/sim-world.ts';
import { unsettled } from '../src/testing/simulation/settled.ts';

const SEEDS = 100;
const CHUNK = 20;
/** Generous: on a busy machine the work takes several times as long. */
const CHUNK_MS = 240_000;

describe('simulated clusters', () => {
  it.each(Array.from({ length: SEEDS / CHUNK }, (_, chunk) => chunk * CHUNK + 1))(
    `seeds from %i on (${CHUNK}) keep every promise and settle`,
    async (first) => {
      const failures: unknown[] = [];
      let tasks = 0;
      for (let seed = first; seed < first + CHUNK; seed += 1) {
        const result = await runSeed(seed);
        tasks += result.tasks;
        if (result.failure !== undefined) failures.push({ seed, ...result.failure });
      }
      expect(failures).toEqual([]);
      // A simulation in which nothing happens would pass as well.
      expect(tasks).toBeGreaterThan(20 * CHUNK);
    },
    CHUNK_MS,
  );

  it('the same seed plays the same story', async () => {
    const story = async (): Promise<string[]> => {
      const lines: string[] = [];
      await runSeed(3, { trace: (line) => lines.push(line) });
      return lines;
    };
    const first = await story();
    expect(first.length).toBeGreaterThan(200);
    expect(await story()).toEqual(first);
  }, 60_000);

  it('a rollout goes on where it stood, whoever leads: a change of leader after every commit', async () => {
    await using world = await SimWorld.create({ seed: 1, nodes: 6 });
    const { clock, judge } = world;
    await world.start();
    const calm = (): boolean => world.leader() !== undefined && unsettled(world).length === 0;
    expect(await world.run(clock.now() + 20_000, calm)).toBe(true);
    const spec = (image: string) => ({
      name: 'web',
      mode: { kind: 'replicated', replicas: 6 } as const,
      task: { container: { image } },
      update: { parallelism: 2, monitorMs: 500, delayMs: 300 },
    });
    const web = (): Service | undefined => [...judge.view.list('service')][0];
    world.user('create', ({ control }, call) =>
      control.createService({ spec: spec('good1') }, call),
    );
    await world.run(clock.now() + 2_000);
    expect(await world.run(clock.now() + 60_000, calm)).toBe(true);
    const { id, meta } = web()!;
    world.user('update', ({ control }, call) =>
      control.updateService(
        { id, version: meta.version, spec: spec('good2'), rollback: false },
        call,
      ),
    );
    let changes = 0;
    let seen = judge.commits;
    const done = await world.run(clock.now() + 300_000, () => {
      if (web()?.updateStatus?.state === 'completed') return true;
      const leader = world.leader();
      if (judge.commits === seen || leader === undefined) return false;
      changes += 1;
      leader.core.raft.transferLeadership(undefined, new AbortController().signal).catch(() => 0);
      seen = judge.commits;
      return false;
    });
    expect([done, web()?.updateStatus?.state]).toEqual([true, 'completed']);
    expect(changes).toBeGreaterThan(10);
    const tasks = [...judge.view.tasksByService(id)];
    const renewed = tasks.filter((task) => task.spec.container.image === 'good2');
    expect(new Set(renewed.map((task) => task.slot))).toEqual(new Set([1, 2, 3, 4, 5, 6]));
    expect(renewed).toHaveLength(6);
  }, 60_000);
});
