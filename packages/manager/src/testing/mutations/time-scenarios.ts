/**
 * Small clusters in which something falls due: an update without a node, or with one task after the other that is
 * taken from its node, a run of a job, steps of autoscaling, runs and steps under a new leader, tasks that may move
 * once others have. What the watch over them says.
 */
import { assert } from '@swarmd/base';
import type { Node, NodeAvailability, ServiceSpecInput } from '@swarmd/model';

import { SimWorld, Violation } from '../simulation/sim-world.ts';

const NODES = 3;
/** Of one wait; usually some 40 a second. */
const STEPS_MAX = 5_000;
const NOWHERE = { constraints: ['node.labels.moon==1'] };

export type ScenarioName = keyof typeof SCENARIOS;

/** The first promise that is broken in the scenario, or in any; undefined: none is. */
export async function brokenInTime(name?: ScenarioName): Promise<string | undefined> {
  try {
    for (const play of name === undefined ? Object.values(SCENARIOS) : [SCENARIOS[name]]) {
      await using sim = await begun();
      await play(sim);
    }
    return undefined;
  } catch (error) {
    if (error instanceof Violation) return error.message;
    throw error;
  }
}

const task = (placement: object = {}) => ({ container: { image: 'good1' }, placement });

const STUCK = (placement: object): ServiceSpecInput => ({
  name: 'stuck',
  mode: { kind: 'replicated', replicas: 1 },
  // One that cannot be prepared is tried again and again, and shows nothing meanwhile.
  task: task(placement),
  update: { progressDeadlineMs: 8_000 },
});

const TICK: ServiceSpecInput = {
  name: 'tick',
  mode: { kind: 'replicated-job' },
  task: task(),
  schedule: { cron: '* * * * *' },
};

const SCALED: ServiceSpecInput = {
  name: 'scaled',
  mode: { kind: 'replicated', replicas: 1 },
  task: { ...task(), reservations: { nanoCpus: 5e8 } },
  autoscale: {
    min: 1,
    max: 3,
    cpuPercent: 50,
    upWindowMs: 5_000,
    downWindowMs: 5_000,
    intervalMs: 5_000,
    warmupMs: 0,
  },
};

/** One that has moved takes its time to stop. */
const MOVED: ServiceSpecInput = {
  name: 'moved',
  mode: { kind: 'replicated', replicas: 6 },
  task: { container: { image: 'good-stubborn' } },
  update: { order: 'start-first' },
  rebalance: { budget: 1, intervalMs: 0 },
};

const SCENARIOS = {
  update: async (sim: SimWorld): Promise<void> => {
    await create(sim, STUCK({}));
    await pass(sim, 5_000);
    await update(sim, STUCK(NOWHERE));
    await pass(sim, 20_000);
  },
  /** The node of each new task is drained long before the task is prepared. */
  attempts: async (sim: SimWorld): Promise<void> => {
    await create(sim, STUCK({}));
    await pass(sim, 5_000);
    await update(sim, { ...STUCK({}), task: { container: { image: 'slow' } } });
    for (let drained: Node | undefined, at = 0; at < 10; at += 1) {
      const node = nodeOfNewest(sim, 'stuck');
      if (drained !== undefined) setAvailability(sim, drained, 'active');
      setAvailability(sim, node, 'drain');
      drained = node;
      await pass(sim, 2_000);
    }
  },
  moves: async (sim: SimWorld): Promise<void> => {
    await create(sim, MOVED);
    await pass(sim, 5_000);
    const node = nodeOfNewest(sim, 'moved');
    setAvailability(sim, node, 'drain');
    await pass(sim, 30_000);
    setAvailability(sim, node, 'active');
    await pass(sim, 30_000);
  },
  run: async (sim: SimWorld): Promise<void> => {
    await create(sim, TICK);
    await pass(sim, 75_000);
  },
  scaleUp: async (sim: SimWorld): Promise<void> => {
    sim.load = () => 5e8;
    await create(sim, SCALED);
    await pass(sim, 70_000);
  },
  scaleDown: async (sim: SimWorld): Promise<void> => {
    sim.load = () => 0;
    await create(sim, { ...SCALED, mode: { kind: 'replicated', replicas: 2 } });
    await pass(sim, 70_000);
  },
  /** What the first leader has written, the next one must see to. */
  newLeader: async (sim: SimWorld): Promise<void> => {
    sim.load = () => 5e8;
    await create(sim, TICK);
    await create(sim, SCALED);
    const isPressed = (): boolean => service(sim, 'scaled')?.autoscale?.pressure !== undefined;
    await pass(sim, 40_000, isPressed);
    // Time has to pass for that.
    const never = new AbortController().signal;
    const handedOver = sim.leader()?.core.raft.transferLeadership(undefined, never);
    await pass(sim, 75_000);
    await handedOver;
  },
} as const;

async function begun(): Promise<SimWorld> {
  const sim = await SimWorld.create({ seed: 1, nodes: NODES });
  await sim.start();
  await pass(sim, 10_000, () => sim.leader() !== undefined);
  return sim;
}

/** Time must pass: managers that look at something again and again at the same moment never end. */
async function pass(sim: SimWorld, ms: number, isDone = (): boolean => false): Promise<void> {
  const before = sim.steps;
  await sim.run(sim.clock.now() + ms, () => {
    if (sim.steps - before > STEPS_MAX) throw new Violation('in-time', 'time stands still');
    return isDone();
  });
}

/** Of its tasks, the one that was made last. */
function nodeOfNewest(sim: SimWorld, name: string): Node {
  const { view } = sim.judge;
  const id = service(sim, name)?.id;
  assert(id !== undefined, `the scenario made ${name}`);
  const newest = [...view.tasksByService(id)]
    .toSorted((a, b) => a.meta.createdAt - b.meta.createdAt)
    .at(-1);
  const node = newest?.nodeId === undefined ? undefined : view.get('node', newest.nodeId);
  assert(node !== undefined, 'a node is free at all times');
  return node;
}

function setAvailability(sim: SimWorld, { id }: Node, availability: NodeAvailability): void {
  const node = sim.judge.view.get('node', id);
  assert(node !== undefined, 'nobody removes nodes here');
  const request = { id, version: node.meta.version, spec: { ...node.spec, availability } };
  sim.user(`${availability} ${id}`, async ({ control }, call) => {
    await control.updateNode(request, call);
  });
}

function service(sim: SimWorld, name: string) {
  return sim.judge.view.serviceByName(name);
}

async function create(sim: SimWorld, spec: ServiceSpecInput): Promise<void> {
  sim.user(`create ${spec.name}`, ({ control }, call) => control.createService({ spec }, call));
  await pass(sim, 2_000, () => service(sim, spec.name) !== undefined);
}

async function update(sim: SimWorld, spec: ServiceSpecInput): Promise<void> {
  const found = service(sim, spec.name);
  assert(found !== undefined, `the scenario made ${spec.name}`);
  const { id, meta } = found;
  sim.user(`update ${spec.name}`, ({ control }, call) =>
    control.updateService({ id, version: meta.version, spec, rollback: false }, call),
  );
  await pass(sim, 1_000);
}
