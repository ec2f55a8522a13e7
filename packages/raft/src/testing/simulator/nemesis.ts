/** The trouble-maker: partitions, crashes, pauses, slow disks, and operators who change things. */
import type { ConfChange, ConfChangeStep, RaftId } from '../../core/types.ts';
import type { SimNode } from './sim-node.ts';
import { NOT_A_WRITE, type SimWorld } from './sim-world.ts';

const MAX_MEMBERS = 7;
const MAX_IDS = 12;

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
    world.network.rates = { drop: 0, duplicate: 0, maxDelayMs: 3 };
    world.maxDiskMs = 2;
    world.resumeAll();
    for (const node of world.nodes) if (!node.running) world.restart(node);
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
      () => this.#crashAll(),
      () => this.#partition(),
      () => this.#isolateLeader(),
      () => this.#oneWay(),
      () => this.#pause(),
      () => this.#pause(),
      () => this.#slowDisk(),
      () => this.#transfer(),
      () => this.#someone()?.step({ kind: 'forgetLeader' }),
      () => this.#someone()?.step({ kind: 'campaign' }),
    ];
    this.#world.chance.pick(faults)?.();
  }

  #someone(): SimNode | undefined {
    return this.#world.chance.pick(this.#world.nodes.filter((node) => node.running));
  }

  #crash(): void {
    const { chance } = this.#world;
    const node = chance.happens(0.4) ? this.#world.leader() : this.#someone();
    if (node) this.#crashFor(node, chance.between(1, 400));
  }

  #crashAll(): void {
    if (this.#world.chance.happens(0.7)) return;
    const same = this.#world.chance.between(1, 200);
    for (const node of this.#world.nodes) if (node.running) this.#crashFor(node, same);
  }

  #crashFor(node: SimNode, downMs: number): void {
    this.#world.crash(node);
    this.#world.after(downMs, () => {
      if (!node.running) this.#world.restart(node);
    });
  }

  #partition(): void {
    const { chance, nodes } = this.#world;
    const side = new Set(nodes.filter(() => chance.happens(0.5)).map((node) => node.id));
    this.#cutBetween((from, to) => side.has(from) !== side.has(to));
  }

  #isolateLeader(): void {
    const id = this.#world.leader()?.id;
    if (id !== undefined) this.#cutBetween((from, to) => from === id || to === id);
  }

  /** Each direction of each link by itself: some nodes hear but are not heard. */
  #oneWay(): void {
    this.#cutBetween(() => this.#world.chance.happens(0.3));
  }

  #cutBetween(isCut: (from: RaftId, to: RaftId) => boolean): void {
    const ids = this.#world.nodes.map((node) => node.id);
    this.#world.log(() => 'partition');
    for (const from of ids) {
      for (const to of ids) if (from !== to && isCut(from, to)) this.#world.network.cut(from, to);
    }
    this.#world.after(this.#world.chance.between(50, 600), () => {
      this.#world.log(() => 'partition heals');
      this.#world.network.heal();
    });
  }

  #pause(): void {
    const { chance } = this.#world;
    const id = (chance.happens(0.6) ? this.#world.leader() : this.#someone())?.id;
    if (id === undefined) return;
    this.#world.pause(id);
    this.#world.after(chance.between(20, 400), () => this.#world.resume(id));
  }

  #slowDisk(): void {
    const world = this.#world;
    world.maxDiskMs = world.chance.between(20, 150);
    world.after(world.chance.between(50, 400), () => {
      if (this.#active) world.maxDiskMs = world.plan.maxDiskMs;
    });
  }

  #transfer(): void {
    const target = this.#world.chance.pick(this.#world.nodes);
    const asked = this.#world.chance.happens(0.8) ? this.#world.leader() : this.#someone();
    if (target) asked?.step({ kind: 'transfer', to: target.id });
  }

  #change(): void {
    const leader = this.#world.leader();
    const change = leader && this.#randomChange(leader);
    if (!change) return;
    this.#world.log(() => `change ${JSON.stringify(change.steps)} ${change.transition}`);
    leader.step({ kind: 'proposeConfChange', id: NOT_A_WRITE, change });
  }

  #randomChange(leader: SimNode): ConfChange | undefined {
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
    const transition = chance.pick(['auto', 'auto', 'implicit', 'explicit'] as const) ?? 'auto';
    return { transition, steps, context };
  }

  #randomStep(voters: readonly RaftId[], members: readonly RaftId[]): ConfChangeStep | undefined {
    const { chance } = this.#world;
    const kind = chance.pick(['addVoter', 'addVoter', 'addLearner', 'remove', 'new'] as const);
    if (kind === 'new') {
      if (members.length >= MAX_MEMBERS || this.#nextId > MAX_IDS) return undefined;
      const id = this.#nextId++;
      this.#world.addNode(id);
      return { kind: chance.happens(0.7) ? 'addLearner' : 'addVoter', id };
    }
    const id = chance.pick(kind === 'addVoter' ? members : voters);
    return id === undefined || !kind ? undefined : { kind, id };
  }
}
