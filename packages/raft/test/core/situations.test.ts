/**
 * Situations of the checklist, staged on purpose in the simulator: whole members with their real log and
 * main thread, on simulated disks, network and clocks. Every step is judged by the simulator's rules; here
 * is what must hold besides.
 */
import { afterEach, describe, expect, test } from 'vitest';

import { RAFT_TIMINGS } from '../../src/node/timing.ts';
import { Dice } from '@swarmd/base/testing';
import { planFor, type Plan } from '../../src/testing/simulator/plan.ts';
import { runSeed } from '../../src/testing/simulator/run-seed.ts';
import type { SimMember } from '../../src/testing/simulator/sim-member.ts';
import { SimWorld } from '../../src/testing/simulator/sim-world.ts';

const ELECTION_MS = 1_000;
const LIMIT_MS = 120_000;

/** Nothing goes wrong by itself. */
const QUIET = {
  voters: [1, 2, 3],
  network: { drop: 0, duplicate: 0, maxDelayMs: 10 },
  garble: 0,
  maxDiskMs: 3,
  databaseMs: 0,
  faultEveryMs: Infinity,
  badDisks: false,
  changeEveryMs: 0,
  clockDrift: 0,
  snapshotEvery: 1_000,
  timing: RAFT_TIMINGS.lan,
  // The simulator loses some of the reports of how a transfer ended.
  limits: { snapshotTicks: 200 },
} satisfies Partial<Plan>;

class Situation {
  readonly world: SimWorld;
  #writing = false;

  private constructor(world: SimWorld) {
    this.world = world;
  }

  /** With a leader, and a client that writes to whoever leads, every 20 ms. */
  static async begin(plan: Partial<Plan> = {}): Promise<Situation> {
    const chance = new Dice(1);
    const world = new SimWorld({ chance, plan: { ...planFor(chance), ...QUIET, ...plan } });
    const situation = new Situation(world);
    await world.begin();
    await situation.until('a leader', () => world.leader() !== undefined);
    situation.#writing = true;
    situation.#write();
    await situation.moreWrites(5);
    return situation;
  }

  get leader(): SimMember {
    const leader = this.world.leader();
    if (leader === undefined) throw new Error('nobody leads');
    return leader;
  }

  get follower(): SimMember {
    const { leader } = this;
    return this.others(leader)[0]!;
  }

  /** The highest that anybody has seen: every election raises it. */
  get term(): number {
    return Math.max(...this.world.members.map((member) => member.status()?.term ?? 0));
  }

  others(member: SimMember): SimMember[] {
    return this.world.members.filter((other) => other !== member);
  }

  run(ms: number): Promise<void> {
    return this.world.runUntil(this.world.events.now + ms);
  }

  async until(what: string, isSo: () => boolean, withinMs = 30_000): Promise<void> {
    const end = this.world.events.now + withinMs;
    await this.world.runUntil(end, isSo);
    if (!isSo()) throw new Error(`not within ${withinMs} ms: ${what}`);
  }

  /** Resolves with the milliseconds it took. */
  async moreWrites(count: number, withinMs?: number): Promise<number> {
    const began = this.world.events.now;
    const goal = this.world.history.writes + count;
    const what = `${count} more writes acknowledged`;
    await this.until(what, () => this.world.history.writes >= goal, withinMs);
    return this.world.events.now - began;
  }

  /** No trouble any more: all have the same, which is everything that was acknowledged. */
  async endsWell(): Promise<void> {
    this.world.network.heal();
    this.world.network.rates = { drop: 0, duplicate: 0, maxDelayMs: 10 };
    for (const member of this.world.members) this.world.restart(member);
    await this.moreWrites(1);
    this.#writing = false;
    const isWhole = (): boolean => {
      const commit = this.world.leader()?.status()?.commit ?? Infinity;
      return this.world.members.every((member) => member.appliedIndex >= commit);
    };
    await this.until('all members are equal', isWhole);
    for (const { commands } of this.world.members) this.world.history.checkFinal(commands);
  }

  #write(): void {
    this.world.after(20, () => {
      if (!this.#writing) return;
      const leader = this.world.leader();
      if (leader) this.world.write(leader);
      this.#write();
    });
  }
}

let now: Situation | undefined;
async function begin(plan?: Partial<Plan>): Promise<Situation> {
  now = await Situation.begin(plan);
  return now;
}

/** However it went: nothing was lost. */
afterEach(async () => {
  const ended = now;
  now = undefined;
  await ended?.endsWell();
}, LIMIT_MS);

describe('disks', () => {
  test('63: the disk of the leader hangs for 10 s: leadership moves, writes go on', async () => {
    const situation = await begin();
    const { leader: former, term } = situation;
    situation.world.hangDisk(former.id, 10_000);
    await situation.until('another leader', () => situation.world.leader() !== former, 4_000);
    await situation.moreWrites(50, 3_000);
    expect(situation.term).toBe(term + 1);
    await situation.run(10_000);
    // It is back as a follower, and nobody had a reason to elect again.
    expect(situation.term).toBe(term + 1);
  });

  test('63: that of a follower: the others do not notice', async () => {
    const situation = await begin();
    const { leader, term } = situation;
    situation.world.hangDisk(situation.follower.id, 10_000);
    await situation.moreWrites(300, 10_000);
    expect({ leader: situation.leader.id, term: situation.term }).toEqual({
      leader: leader.id,
      term,
    });
  });

  test('61/62: no room for an entry: the member stops, and is back when there is', async () => {
    const situation = await begin();
    const { leader: former } = situation;
    former.disk.failing = true;
    await situation.until('it stops', () => !former.running, 2_000);
    expect(await situation.moreWrites(20)).toBeLessThan(6_000);
    await situation.until('it is back', () => former.ready);
  });

  test('62: no room for snapshots: writes go on, the log grows, and is cut when there is', async () => {
    const situation = await begin({ snapshotEvery: 20 });
    const { leader } = situation;
    await situation.until(
      'a snapshot',
      () => (situation.world.counts.get('snapshot taken') ?? 0) > 2,
    );
    leader.disk.full = true;
    const first = leader.status()?.first;
    await situation.moreWrites(200, 10_000);
    expect(situation.leader).toBe(leader);
    expect((leader.status()?.first ?? 0) - (first ?? 0)).toBeLessThan(50);
    leader.disk.full = false;
    await situation.until('the log is cut', () => (leader.status()?.first ?? 0) > 200);
  });

  test("46: snapshots on each other's heels, on a slow database: none of their files is lost", async () => {
    const plan = { ...QUIET, faultyMs: 3_000, maxDiskMs: 1, databaseMs: 100, writeEveryMs: 4 };
    for (const seed of [1, 2, 3]) {
      const { failure, counts } = await runSeed(seed, { plan: { ...plan, snapshotEvery: 1 } });
      expect(failure).toBeUndefined();
      expect(counts.get('snapshot taken')).toBeGreaterThan(50);
    }
  });
});

describe('snapshots on their way', () => {
  /** A follower that was away for so long that only a snapshot helps. */
  async function behind(
    { writes, maxDelayMs } = { writes: 100, maxDelayMs: 20 },
  ): Promise<{ situation: Situation; late: SimMember }> {
    const situation = await begin({
      snapshotEvery: 20,
      network: { ...QUIET.network, maxDelayMs },
    });
    const late = situation.follower;
    situation.world.crash(late, 'kill');
    await situation.moreWrites(writes);
    return { situation, late };
  }
  const installed = ({ world }: Situation): number => world.counts.get('snapshot installed') ?? 0;

  test('41/46: while one is on its way, two more are taken: what the follower lacks after the first stays', async () => {
    const { situation, late } = await behind({ writes: 300, maxDelayMs: 110 });
    situation.world.restart(late);
    await situation.until('it fetches', () => late.link?.fetching === true);
    const begun = situation.leader.status()?.commit ?? 0;
    await situation.until('it has one', () => installed(situation) > 0);
    expect((situation.leader.status()?.commit ?? 0) - begun).toBeGreaterThan(40);
    await situation.moreWrites(30);
    await situation.until('it has caught up', () => late.appliedIndex > begun + 40);
    expect(installed(situation)).toBe(1);
  });

  test('42/48: the leader dies while it sends one: the next one brings the follower up to date', async () => {
    const { situation, late } = await behind();
    const { leader: former } = situation;
    situation.world.trap(former, 'snapshot frame');
    situation.world.restart(late);
    await situation.until('the leader dies', () => !former.running);
    expect(situation.world.counts.get('crash at snapshot frame')).toBe(1);
    const commit =
      situation
        .others(former)
        .find((member) => member !== late)
        ?.status()?.commit ?? 0;
    await situation.until('it has caught up', () => late.appliedIndex >= commit);
    expect(installed(situation)).toBeGreaterThan(0);
  });

  test('42/48: leadership moves while it is sent: it is finished or begun anew', async () => {
    const { situation, late } = await behind();
    const { leader: former } = situation;
    const other = situation.others(former).find((member) => member !== late)!;
    situation.world.restart(late);
    await situation.until('it fetches', () => late.link?.fetching === true);
    former.step({ kind: 'transfer', to: other.id });
    await situation.until('the other leads', () => situation.world.leader() === other);
    const commit = other.status()?.commit ?? 0;
    await situation.until('it has caught up', () => late.appliedIndex >= commit);
    expect(installed(situation)).toBeGreaterThan(0);
  });

  test('42: the follower dies at a frame: it begins anew, and nothing of it is left', async () => {
    const { situation, late } = await behind();
    situation.world.restart(late);
    situation.world.trap(late, 'snapshot frame');
    await situation.until('it dies', () => !late.running && late.everStarted);
    await situation.until('it is back and has caught up', () => installed(situation) > 0);
    await situation.moreWrites(50);
    const halfMade = (): string[] =>
      [...late.disk.files.keys()].filter((name) => name.endsWith('.tmp'));
    await situation.until('no snapshot is under way', () => halfMade().length === 0);
    expect(late.disk.files.size).toBeLessThanOrEqual(2);
  });
});

describe('crashes', () => {
  test.each(['kill', 'power'] as const)(
    '65: all at once (%s), and all back at once',
    async (kind) => {
      const situation = await begin();
      for (const member of situation.world.members) situation.world.crash(member, kind);
      await situation.run(500);
      for (const member of situation.world.members) situation.world.restart(member);
      expect(await situation.moreWrites(20)).toBeLessThan(6_000);
    },
  );

  test.each(['kill', 'power'] as const)(
    '65: one after the other (%s), and back likewise',
    async (kind) => {
      const situation = await begin();
      for (const member of situation.world.members) {
        situation.world.crash(member, kind);
        await situation.run(150);
      }
      for (const member of situation.world.members) {
        situation.world.restart(member);
        await situation.run(1_500);
      }
      expect(await situation.moreWrites(20)).toBeLessThan(6_000);
    },
  );
});

describe('networks', () => {
  const five = { voters: [1, 2, 3, 4, 5] };

  test('66: a leader that hears nobody, though all hear it, gives up and is replaced', async () => {
    const situation = await begin();
    const { leader: former } = situation;
    for (const { id } of situation.others(former)) situation.world.network.cut(id, former.id);
    await situation.until('another leader', () => situation.world.leader() !== former, 8_000);
    expect(await situation.moreWrites(50)).toBeLessThan(3_000);
  });

  test('66: a follower that is heard and hears nobody disturbs nobody', async () => {
    const situation = await begin();
    const { leader, follower, term } = situation;
    for (const { id } of situation.others(follower)) situation.world.network.cut(id, follower.id);
    await situation.moreWrites(300, 10_000);
    expect({ leader: situation.leader.id, term: situation.term }).toEqual({
      leader: leader.id,
      term,
    });
    situation.world.network.heal();
    await situation.run(5_000);
    expect(situation.term).toBe(term);
  });

  test('66: a ring of five, each sees its two neighbours only: there is progress', async () => {
    const situation = await begin(five);
    for (let id = 1; id <= 5; id += 1) situation.world.network.cutBetween(id, 1 + ((id + 1) % 5));
    await situation.run(3 * ELECTION_MS);
    await situation.moreWrites(50, 10_000);
    const { term } = situation;
    await situation.run(10_000);
    // Whoever leads is heard by a majority, and the others' pre-votes come to nothing.
    expect(situation.term - term).toBeLessThanOrEqual(1);
  });

  test('66: half of all messages are lost: there is progress', async () => {
    const situation = await begin(five);
    situation.world.network.rates = { drop: 0.5, duplicate: 0, maxDelayMs: 10 };
    expect(await situation.moreWrites(50, 60_000)).toBeLessThan(30_000);
  });

  test('66: 200 ms of jitter cost no leadership', async () => {
    const situation = await begin(five);
    const { term } = situation;
    situation.world.network.rates = { drop: 0, duplicate: 0.1, maxDelayMs: 200 };
    await situation.moreWrites(500, 60_000);
    expect(situation.term).toBe(term);
  });

  test('66: a link that flaps costs its end nothing but time', async () => {
    const situation = await begin();
    const { leader, follower, term } = situation;
    for (let i = 0; i < 20; i += 1) {
      situation.world.network.cutBetween(leader.id, follower.id);
      await situation.run(300);
      situation.world.network.heal();
      await situation.run(300);
    }
    expect({ leader: situation.leader.id, term: situation.term }).toEqual({
      leader: leader.id,
      term,
    });
    await situation.until('it keeps up', () => follower.appliedIndex > 300, 3_000);
  });

  test('members far from each other keep their leader, and followers read, with the profile for it', async () => {
    const network = { drop: 0, duplicate: 0, minDelayMs: 150, maxDelayMs: 240 };
    const situation = await begin({ network, timing: RAFT_TIMINGS.wan });
    const { term, world } = situation;
    const reads = world.history.reads;
    for (let second = 0; second < 30; second += 1) {
      world.read(situation.follower);
      await situation.run(1_000);
    }
    expect(situation.term).toBe(term);
    expect(world.history.reads - reads).toBeGreaterThan(26);
    world.crash(situation.leader, 'kill');
    await situation.moreWrites(1, 8_000);
  });
});

describe('stalls', () => {
  test('67: a main thread that is busy for 4 s costs no leadership', async () => {
    const situation = await begin();
    const { leader, term } = situation;
    leader.blockMain(4_000);
    await situation.run(10_000);
    expect({ leader: situation.leader.id, term: situation.term }).toEqual({
      leader: leader.id,
      term,
    });
  });

  test('67: one that is stuck hands leadership over, once, without a pause for an election', async () => {
    const situation = await begin();
    const { leader: former, term } = situation;
    former.blockMain(30_000);
    await situation.until('another leader', () => situation.world.leader() !== former, 7_500);
    await situation.moreWrites(20, 1_000);
    await situation.run(30_000);
    expect(situation.term).toBe(term + 1);
  });

  test.each([500, 5_000, 30_000])(
    '67: a follower that stood still for %i ms elects nobody',
    async (ms) => {
      const situation = await begin();
      const { leader, follower, term } = situation;
      follower.pause();
      await situation.run(ms);
      follower.resume();
      await situation.run(5_000);
      expect({ leader: situation.leader.id, term: situation.term }).toEqual({
        leader: leader.id,
        term,
      });
    },
  );

  test.each([5_000, 30_000])(
    '50/67: a leader that stood still for %i ms costs one election',
    async (ms) => {
      const situation = await begin();
      const { leader: former, term } = situation;
      former.pause();
      await situation.run(ms);
      // Its clients ask first thing: they must not be told of the past.
      for (let i = 0; i < 5; i += 1) situation.world.read(former);
      former.resume();
      await situation.run(5_000);
      expect(situation.leader).not.toBe(former);
      expect(situation.term).toBe(term + 1);
    },
  );
});
