/** Plays one seed: trouble first, then peace, in which the group must recover completely. */
import { errorMessage } from '@swarmd/base';

import { jointVote } from '../../core/quorum.ts';
import { Dice } from '@swarmd/base/testing';
import { Nemesis } from './nemesis.ts';
import { ELECTION_MS, planFor, type Plan } from './plan.ts';
import { SimWorld, type Trace } from './sim-world.ts';
import { Violation } from './violation.ts';

export interface SeedResult {
  readonly seed: number;
  readonly steps: number;
  readonly writes: number;
  readonly reads: number;
  readonly applied: number;
  /** Membership changes and lost disks left no quorum: progress could not be asked for. */
  readonly quorumLost: boolean;
  /** The highest term that any member has reached; founders start at 1. */
  readonly terms: number;
  /** How often what happened. */
  readonly counts: ReadonlyMap<string, number>;
  /** The rule that was broken, and how. */
  readonly failure?: { readonly rule: string; readonly message: string };
}

/** How long a healed group may take to be whole again: several elections and a snapshot. */
const RECOVERY_MS = 60 * ELECTION_MS;

/** `plan`: what is to be other than the seed says. */
export async function runSeed(
  seed: number,
  options: { trace?: Trace | undefined; plan?: Partial<Plan> } = {},
): Promise<SeedResult> {
  const { trace } = options;
  const chance = new Dice(seed);
  const plan = { ...planFor(chance), ...options.plan };
  const world = new SimWorld({ chance, plan, ...(trace && { trace }) });
  let endedWell = true;
  const failure = await attempt(async () => {
    await world.begin();
    const nemesis = new Nemesis(world);
    startClients(world);
    await world.runUntil(plan.faultyMs);
    nemesis.stop();
    endedWell = await recover(world);
  });
  return {
    seed,
    steps: world.steps,
    writes: world.history.writes,
    reads: world.history.reads,
    applied: world.invariants.lastApplied,
    counts: world.counts,
    terms: Math.max(...world.members.map((member) => member.status()?.term ?? 0)),
    quorumLost: !endedWell,
    ...(failure && { failure }),
  };
}

async function attempt(run: () => Promise<void>): Promise<SeedResult['failure']> {
  try {
    await run();
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
    const member = chance.happens(0.8) ? world.leader() : chance.maybe(world.members);
    if (member) world.write(member);
  };
  const reader = (): void => {
    const member = chance.maybe(world.members);
    if (member) world.read(member);
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
async function recover(world: SimWorld): Promise<boolean> {
  const end = world.events.now + RECOVERY_MS;
  const before = world.history.writes;
  while (world.history.writes === before) {
    if (world.events.now >= end) {
      if (!hasQuorum(world)) return false;
      throw new Violation('progress', `no write got through after healing\n${states(world)}`);
    }
    const leader = world.leader();
    if (leader) world.write(leader);
    await world.runUntil(Math.min(end, world.events.now + 2 * ELECTION_MS));
  }
  await world.runUntil(end, () => isWhole(world));
  const leader = world.leader();
  if (!leader || !isWhole(world)) {
    if (!hasQuorum(world)) return false;
    throw new Violation(
      'progress',
      `not all members have caught up after healing\n${states(world)}`,
    );
  }
  world.history.checkFinal(leader.commands);
  return true;
}

function states(world: SimWorld): string {
  const lines = world.members.map((member) => {
    const { id, running, ready, gone, appliedIndex } = member;
    return JSON.stringify({ id, running, ready, gone, appliedIndex, ...member.status() });
  });
  return lines.join('\n');
}

function isWhole(world: SimWorld): boolean {
  const leader = world.leader();
  const conf = leader?.conf();
  const commit = leader?.status()?.commit ?? 0;
  if (!leader || !conf || commit < world.invariants.lastApplied) return false;
  return [...conf.voters, ...conf.learners].every((id) => {
    const member = world.member(id);
    return member !== undefined && (member.gone || member.appliedIndex >= commit);
  });
}

/** Can the newest membership that anybody knows of decide anything? */
function hasQuorum(world: SimWorld): boolean {
  const newest = world.members
    .filter((member) => member.running)
    .sort((a, b) => (b.status()?.commit ?? 0) - (a.status()?.commit ?? 0))[0];
  const conf = newest?.conf();
  if (conf === undefined) return false;
  const alive = new Map(world.members.map((member) => [member.id, member.running]));
  const voters = { incoming: new Set(conf.voters), outgoing: new Set(conf.votersOutgoing) };
  return jointVote(voters, alive) === 'won';
}
