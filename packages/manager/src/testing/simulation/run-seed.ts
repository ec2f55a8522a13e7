/** Plays one seed: trouble first, then peace, in which the cluster must become what its specs say. */
import { errorMessage } from '@swarmd/base';
import { isJob, type Service } from '@swarmd/model';

import { sizeOf } from './cluster-size.ts';
import { Nemesis } from './nemesis.ts';
import { isSettled, unsettled } from './settled.ts';
import { SimWorld, Violation, type Trace } from './sim-world.ts';
import { approve, waitsForApproval } from './users.ts';

export interface SeedResult {
  readonly seed: number;
  readonly nodes: number;
  readonly steps: number;
  readonly commits: number;
  /** Tasks that ever existed. */
  readonly tasks: number;
  /** How long the cluster took to settle once everything was mended; of simulated time. */
  readonly settledMs?: number;
  readonly failure?: { readonly rule: string; readonly message: string };
}

export interface SeedOptions {
  /** Managers included; by the seed unless given. */
  readonly nodes?: number;
  readonly trace?: Trace;
}

/** Restart delays, slow images, stubborn stops, several times over. */
const SETTLE_MS = 15 * 60_000;
const LOOK_MS = 500;
/** Where tasks that are broken wait for their turn, nothing may stop it; nor steps, see `mend`. */
const PATIENT = { progressDeadlineMs: 600_000 };

export async function runSeed(seed: number, options: SeedOptions = {}): Promise<SeedResult> {
  const nodes = options.nodes ?? 4 + (seed % 9);
  const { trace } = options;
  await using world = await SimWorld.create({ seed, nodes, ...(trace && { trace }) });
  let settledMs: number | undefined;
  let failure: SeedResult['failure'];
  try {
    settledMs = await play(world, nodes);
  } catch (error) {
    failure = describe(error);
  }
  return {
    seed,
    nodes,
    steps: world.steps,
    commits: world.judge.commits,
    tasks: world.judge.tasksMade,
    ...(settledMs === undefined ? {} : { settledMs }),
    ...(failure === undefined ? {} : { failure }),
  };
}

function describe(error: unknown): { rule: string; message: string } {
  if (error instanceof Violation) return { rule: error.rule, message: error.message };
  const stack = error instanceof Error ? (error.stack ?? '') : '';
  return { rule: 'assertion', message: `${errorMessage(error)}\n${stack}` };
}

async function play(world: SimWorld, nodes: number): Promise<number> {
  const { clock, dice } = world;
  await world.start();
  await world.run(clock.now() + 3_000, () => world.leader() !== undefined);
  const size = sizeOf(nodes);
  const services = dice.between(1, 3) + size.services;
  const nemesis = new Nemesis(world, { ...size, services });
  await world.run(clock.now() + dice.between(15_000, size.isLarge ? 30_000 : 60_000));
  await nemesis.stop();
  world.trace('peace');
  await world.run(clock.now() + 20_000, () => world.leader() !== undefined);
  const since = clock.now();
  mendServices(world);
  removeGone(world);
  await settle(world);
  return clock.now() - since;
}

/** Images that work and room for tasks; whatever was paused gets a new spec. */
function mendServices(world: SimWorld): void {
  const [leader] = world.up();
  if (leader === undefined) throw new Violation('progress', 'no manager is up');
  // Jobs have no updates. Fifty replicas, one after the other, would take longer than the whole trouble.
  const isLarge = sizeOf(world.agents.size).isLarge;
  for (const { id, spec } of world.judge.view.list('service')) {
    world.user(`mend ${spec.name}`, (_anyone, call) => mend(leader, { id, call, isLarge }));
  }
}

/** Whose removal was asked for in the trouble, and may not have taken effect. */
function removeGone(world: SimWorld): void {
  for (const { nodeId, isGone } of world.agents.values()) {
    if (!isGone || world.judge.view.get('node', nodeId) === undefined) continue;
    world.user(`remove node ${nodeId} again`, ({ control }, call) =>
      control.removeNode({ id: nodeId, force: true }, call),
    );
  }
}

async function mend(
  { control }: ReturnType<SimWorld['up']>[0],
  options: { id: Service['id']; call: Parameters<typeof control.getService>[1]; isLarge: boolean },
): Promise<Service> {
  const { id, call, isLarge } = options;
  for (;;) {
    const { spec, meta } = await control.getService({ id }, call);
    const container = { ...spec.task.container, image: 'good-mended' };
    const isWell = spec.task.container.image.startsWith('good');
    const canary = isWell ? spec.update.canary : [];
    const hurry = isLarge && spec.mode.kind === 'replicated';
    const update = { ...spec.update, ...PATIENT, canary, ...(hurry ? { parallelism: 0 } : {}) };
    // Of many schedules one has a run under way at any time.
    const { schedule } = spec;
    const rest =
      isLarge && schedule !== undefined ? { schedule: { ...schedule, suspended: true } } : {};
    // Jobs are not updated but run again.
    const mended = {
      ...spec,
      ...(isJob(spec.mode) ? {} : { update }),
      ...rest,
      task: { ...spec.task, container },
    };
    try {
      return await control.updateService(
        { id, version: meta.version, spec: mended, rollback: false },
        call,
      );
    } catch (error) {
      if ((error as { code?: string }).code !== 'out-of-date') throw error;
    }
  }
}

async function settle(world: SimWorld): Promise<void> {
  const { clock } = world;
  const end = clock.now() + SETTLE_MS;
  // What is just right must stay so: two looks in a row.
  for (let calm = 0; calm < 2;) {
    if (clock.now() >= end) {
      const problems = unsettled(world).join('\n');
      throw new Violation('convergence', `after ${SETTLE_MS} ms:\n${problems}`);
    }
    await world.run(clock.now() + LOOK_MS);
    for (const service of world.judge.view.list('service')) {
      if (waitsForApproval(service)) approve(world, service);
    }
    calm = isSettled(world) ? calm + 1 : 0;
  }
}
