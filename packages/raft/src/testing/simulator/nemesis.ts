/** The trouble-maker: partitions, crashes, pauses, bad disks, and operators who change things. */
import type { ConfChange, ConfChangeStep, RaftId } from '../../core/types.ts';
import type { SimMember } from './sim-member.ts';
import { NOT_A_WRITE, type SimWorld } from './sim-world.ts';

const MAX_MEMBERS = 7;
const MAX_IDS = 14;
/** Between two attempts to replace a member whose disk is lost. */
const REPLACE_EVERY_MS = 400;

export class Nemesis {
  readonly #world: SimWorld;
  #nextId: RaftId;
  #active = true;

  constructor(world: SimWorld) {
    this.#world = world;
    this.#nextId = world.plan.voters.length + 1;
    this.#every(world.plan.faultEveryMs, () => this.#fault());
    this.#every(world.plan.changeEveryMs, () => this.#change());
  }

  /** Stops, and mends everything that it broke. */
  stop(): void {
    this.#active = false;
    const world = this.#world;
    world.network.heal();
    world.network.rates = { drop: 0, duplicate: 0, maxDelayMs: 15 };
    world.garble = 0;
    world.maxDiskMs = 5;
    world.healDisks();
    world.clearTraps();
    for (const member of world.members) {
      member.resume();
      member.disk.repair();
      world.restart(member);
    }
  }

  #every(meanMs: number, act: () => void): void {
    if (meanMs === 0 || meanMs === Infinity) return;
    this.#world.after(this.#world.chance.between(1, 2 * meanMs), () => {
      if (!this.#active) return;
      act();
      this.#every(meanMs, act);
    });
  }

  #fault(): void {
    const faults = [
      () => this.#crash(),
      () => this.#crash(),
      () => this.#crashAtMoment(),
      () => this.#crashAtMoment(),
      () => this.#crashAtMoment(),
      () => this.#crashAll(),
      () => this.#partition(),
      () => this.#isolateLeader(),
      () => this.#oneWay(),
      () => this.#pause(),
      () => this.#pause(),
      () => this.#blockMain(),
      () => this.#slowDisk(),
      () => this.#badDisk(),
      () => this.#badDisk(),
      () => this.#badDisk(),
      () => this.#badDisk(),
      () => this.#transfer(),
      () => this.#someone()?.step({ kind: 'forgetLeader' }),
      () => this.#someone()?.step({ kind: 'campaign' }),
    ];
    this.#world.chance.maybe(faults)?.();
  }

  #someone(): SimMember | undefined {
    return this.#world.chance.maybe(this.#world.members.filter((member) => member.running));
  }

  #leaderOrSomeone(p: number): SimMember | undefined {
    return this.#world.chance.happens(p) ? this.#world.leader() : this.#someone();
  }

  #crash(): void {
    const member = this.#leaderOrSomeone(0.4);
    if (member) this.#crashFor(member, this.#world.chance.between(5, 2_000));
  }

  #crashAtMoment(): void {
    const member = this.#leaderOrSomeone(0.4);
    const moment = this.#world.chance.maybe(this.#world.plan.moments);
    if (member && moment) this.#world.trap(member, moment);
  }

  #crashAll(): void {
    if (this.#world.chance.happens(0.7)) return;
    const same = this.#world.chance.between(5, 1_000);
    for (const member of this.#world.members) if (member.running) this.#crashFor(member, same);
  }

  #crashFor(member: SimMember, downMs: number, kind?: 'kill'): void {
    this.#world.crash(member, kind ?? (this.#world.chance.happens(0.5) ? 'kill' : 'power'));
    this.#world.after(downMs, () => this.#world.restart(member));
  }

  #partition(): void {
    const { chance, members } = this.#world;
    const side = new Set(members.filter(() => chance.happens(0.5)).map((member) => member.id));
    this.#cutBetween((from, to) => side.has(from) !== side.has(to));
  }

  #isolateLeader(): void {
    const id = this.#world.leader()?.id;
    if (id !== undefined) this.#cutBetween((from, to) => from === id || to === id);
  }

  /** Each direction of each link by itself: some members hear but are not heard. */
  #oneWay(): void {
    this.#cutBetween(() => this.#world.chance.happens(0.3));
  }

  #cutBetween(isCut: (from: RaftId, to: RaftId) => boolean): void {
    const ids = this.#world.members.map((member) => member.id);
    this.#world.log(() => 'partition');
    this.#world.count('partition');
    for (const from of ids) {
      for (const to of ids) if (from !== to && isCut(from, to)) this.#world.network.cut(from, to);
    }
    this.#world.after(this.#world.chance.between(250, 3_000), () => {
      this.#world.log(() => 'partition heals');
      this.#world.network.heal();
    });
  }

  #pause(): void {
    const member = this.#leaderOrSomeone(0.6);
    if (member === undefined) return;
    this.#world.log(() => `pause of ${member.id}`);
    this.#world.count('pause');
    member.pause();
    this.#world.after(this.#world.chance.between(100, 2_000), () => member.resume());
  }

  #blockMain(): void {
    const member = this.#leaderOrSomeone(0.7);
    const ms = this.#world.chance.between(100, 7_000);
    this.#world.log(() => `main thread of ${member?.id} is busy for ${ms} ms`);
    member?.blockMain(ms);
    this.#world.count('busy main thread');
  }

  #slowDisk(): void {
    const world = this.#world;
    world.maxDiskMs = world.chance.between(100, 750);
    world.count('slow disk');
    world.after(world.chance.between(250, 2_000), () => {
      if (this.#active) world.maxDiskMs = world.plan.maxDiskMs;
    });
  }

  #badDisk(): void {
    const { chance, plan } = this.#world;
    const member = this.#leaderOrSomeone(0.4);
    if (!plan.badDisks || member === undefined) return;
    chance.maybe([
      () => this.#world.hangDisk(member.id, chance.between(500, 4_000)),
      () => (member.disk.failing = true),
      () => this.#fillUp(member),
      () => this.#rot(member),
      () => this.#rot(member),
    ])?.();
  }

  #fillUp(member: SimMember): void {
    member.disk.full = true;
    this.#world.count('full disk');
    this.#world.after(this.#world.chance.between(500, 3_000), () => {
      member.disk.full = false;
    });
  }

  /** Only when a quorum holds without it, and nobody else is lost: more than that is a loss. */
  #rot(member: SimMember): void {
    const conf = this.#world.leader()?.conf();
    if (conf === undefined || conf.voters.length < 3 || conf.votersOutgoing.length > 0) return;
    if (this.#world.members.some((other) => other.disk.damaged)) return;
    if (conf.voters.some((id) => this.#world.member(id)?.gone !== false)) return;
    // Not with a power cut: what the mark loses by one is the last second, as its file says.
    this.#crashFor(member, this.#world.chance.between(5, 500), 'kill');
    const what = member.disk.rot();
    this.#world.log(() => `disk of ${member.id}: ${what}`);
    this.#world.count('damage');
    this.#replaceSoon(member);
  }

  /** What an operator does with a member that refuses its log: it is removed, another one joins. */
  #replaceSoon(lost: SimMember): void {
    this.#world.after(REPLACE_EVERY_MS, () => {
      const leader = this.#world.leader();
      const conf = leader?.conf();
      const member = leader?.status()?.progress.some((peer) => peer.id === lost.id);
      if (lost.running && !lost.gone) return;
      if (lost.gone && leader && conf && member) {
        this.#world.change(leader, { kind: 'remove', raftId: lost.id });
      }
      if (lost.gone && conf && member === false) this.#newcomer(leader);
      else this.#replaceSoon(lost);
    });
  }

  #newcomer(leader: SimMember | undefined): void {
    if (leader === undefined || this.#nextId > MAX_IDS) return;
    const raftId = this.#nextId++;
    this.#world.addMember(raftId);
    const member = { raftId, nodeId: `node${raftId}`, address: `member${raftId}` } as const;
    this.#world.change(leader, { kind: 'add-learner', member: { ...member, role: 'learner' } });
    this.#world.after(REPLACE_EVERY_MS, () => {
      const now = this.#world.leader();
      if (now) this.#world.change(now, { kind: 'promote', raftId });
    });
  }

  #transfer(): void {
    const target = this.#world.chance.maybe(this.#world.members);
    const asked = this.#leaderOrSomeone(0.8);
    if (target) asked?.step({ kind: 'transfer', to: target.id });
  }

  #change(): void {
    const leader = this.#world.leader();
    const change = leader && this.#randomChange(leader);
    if (!change) return;
    this.#world.log(() => `change ${JSON.stringify(change.steps)} ${change.transition}`);
    leader.step({ kind: 'proposeConfChange', id: NOT_A_WRITE, change });
  }

  #randomChange(leader: SimMember): ConfChange | undefined {
    const { chance } = this.#world;
    const conf = leader.conf();
    if (!conf) return undefined;
    const context = new Uint8Array();
    if (conf.votersOutgoing.length > 0) return { transition: 'auto', steps: [], context };
    const members = [...conf.voters, ...conf.learners];
    const steps: ConfChangeStep[] = [];
    const touched = new Set<RaftId>();
    for (let count = chance.between(1, chance.happens(0.3) ? 3 : 1); count > 0; count--) {
      const step = this.#randomStep(conf.voters, members);
      if (step && !touched.has(step.id)) steps.push(step);
      if (step) touched.add(step.id);
    }
    const removed = steps.filter((step) => step.kind !== 'addVoter').map((step) => step.id);
    const left = conf.voters.filter((id) => !removed.includes(id));
    if (steps.length === 0 || left.length === 0) return undefined;
    const transition = chance.maybe(['auto', 'auto', 'implicit', 'explicit'] as const) ?? 'auto';
    return { transition, steps, context };
  }

  #randomStep(voters: readonly RaftId[], members: readonly RaftId[]): ConfChangeStep | undefined {
    const { chance } = this.#world;
    const kind = chance.maybe(['addVoter', 'addVoter', 'addLearner', 'remove', 'new'] as const);
    if (kind === 'new') {
      if (members.length >= MAX_MEMBERS || this.#nextId > MAX_IDS) return undefined;
      const id = this.#nextId++;
      this.#world.addMember(id);
      return { kind: chance.happens(0.7) ? 'addLearner' : 'addVoter', id };
    }
    const id = chance.maybe(kind === 'addVoter' ? members : voters);
    return id === undefined || !kind ? undefined : { kind, id };
  }
}
