/** Plays one seed: trouble first, then peace, in which the group must recover completely. */
import { errorMessage } from '@swarmd/base';
import { Chance } from './chance.ts';
import { Nemesis } from './nemesis.ts';
import { ELECTION_MS, planFor } from './plan.ts';
import { SimWorld, type Trace } from './sim-world.ts';
import { Violation } from './violation.ts';

export interface SeedResult {
  readonly seed: number;
  readonly steps: number;
  readonly writes: number;
  readonly reads: number;
  readonly applied: number;
  /** The rule that was broken, and how. */
  readonly failure?: { readonly rule: string; readonly message: string };
}

/** How long a healed group may take to be whole again: several elections and a snapshot. */
const RECOVERY_MS = 60 * ELECTION_MS;

export function runSeed(seed: number, trace?: Trace): SeedResult {
  const chance = new Chance(seed);
  const plan = planFor(chance);
  const world = new SimWorld({ chance, plan, ...(trace && { trace }) });
  const failure = attempt(() => {
    const nemesis = new Nemesis(world);
    startClients(world);
    world.runUntil(plan.faultyMs);
    nemesis.stop();
    recover(world);
  });
  return {
    seed,
    steps: world.steps,
    writes: world.history.writes,
    reads: world.history.reads,
    applied: world.invariants.lastApplied,
    ...(failure && { failure }),
  };
}

function attempt(run: () => void): SeedResult['failure'] {
  try {
    run();
    return undefined;
  } catch (error) {
    if (error instanceof Violation) return { rule: error.rule, message: error.message };
    const stack = error instanceof Error ? (error.stack ?? '') : '';
    return { rule: 'assertion', message: `${errorMessage(error)}\n${stack}` };
  }
}

function startClients(world: SimWorld): void {
  const { chance, plan } = world;
  const target = (): void => {
    const node = chance.happens(0.8) ? world.leader() : chance.pick(world.nodes);
    if (node) world.write(node);
  };
  const reader = (): void => {
    const node = chance.pick(world.nodes);
    if (node) world.read(node);
  };
  const repeat = (everyMs: number, act: () => void): void => {
    world.after(chance.between(1, 2 * everyMs), () => {
      if (world.events.now > plan.faultyMs) return;
      act();
      repeat(everyMs, act);
    });
  };
  repeat(plan.writeEveryMs, target);
  repeat(plan.readEveryMs, reader);
}

/** Everybody up, nothing lost: one more write must get through, and all members must agree. */
function recover(world: SimWorld): void {
  const end = world.events.now + RECOVERY_MS;
  const before = world.history.writes;
  while (world.history.writes === before) {
    if (world.events.now >= end) {
      const states = world.nodes.map((node) => JSON.stringify(node.status())).join('\n');
      throw new Violation('progress', `no write got through after healing\n${states}`);
    }
    const leader = world.leader();
    if (leader) world.write(leader);
    world.runUntil(Math.min(end, world.events.now + 2 * ELECTION_MS));
  }
  world.runUntil(end, () => isWhole(world));
  const leader = world.leader();
  if (!leader || !isWhole(world)) {
    const states = world.nodes.map((node) => JSON.stringify(node.status())).join('\n');
    throw new Violation('progress', `not all members have caught up after healing\n${states}`);
  }
  world.history.checkFinal(leader.commands);
}

function isWhole(world: SimWorld): boolean {
  const leader = world.leader();
  const conf = leader?.conf();
  const commit = leader?.status()?.commit ?? 0;
  if (!leader || !conf || commit < world.invariants.lastApplied) return false;
  return [...conf.voters, ...conf.learners].every((id) => {
    const node = world.node(id);
    return node !== undefined && node.appliedIndex >= commit;
  });
}
