/** Everything that may happen to a cluster: users, broken machines and links, lost managers. */
import type { ClusterSize } from './cluster-size.ts';
import { Demand } from './demand.ts';
import type { SimAgent } from './sim-agent.ts';
import type { SimWorld } from './sim-world.ts';
import { Users } from './users.ts';

const PAUSE_MS: readonly [number, number] = [100, 3_000];

export interface NemesisOptions extends ClusterSize {
  /** Made before the trouble begins. */
  readonly services: number;
}

export class Nemesis {
  readonly #world: SimWorld;
  readonly #users: Users;
  readonly #demand: Demand;
  #isOver = false;

  constructor(world: SimWorld, options: NemesisOptions) {
    this.#world = world;
    this.#users = new Users(world, options);
    this.#demand = new Demand(world.judge.view, world.dice);
    world.load = (taskId) => this.#demand.of(taskId);
    this.#users.createFiles();
    for (let made = 0; made < options.services; made += 1) this.#users.create();
    // Nobody confirms anything: managers wait for nothing else than time.
    if (world.dice.happens(0.1)) for (const agent of world.agents.values()) agent.mute();
    this.#next();
  }

  /** No more trouble: what is broken is mended, and every service gets an image that works. */
  async stop(): Promise<void> {
    this.#isOver = true;
    const world = this.#world;
    world.isolated.clear();
    world.parted.clear();
    for (const seat of world.seats) {
      if (world.managers.get(seat.raftId)?.isUp !== true) await world.startManager(seat);
    }
    for (const agent of world.agents.values()) {
      if (agent.isGone) continue;
      agent.unmute();
      agent.heal();
      if (!agent.isUp) agent.restart();
    }
  }

  #next(): void {
    const { clock, dice } = this.#world;
    clock.after(dice.between(...PAUSE_MS), () => {
      if (this.#isOver) return;
      this.#act();
      this.#next();
    });
  }

  #act(): void {
    const { dice } = this.#world;
    const users = this.#users;
    const acts: readonly [number, () => void][] = [
      [10, () => users.update()],
      [4, () => users.scale()],
      [2, () => users.limit()],
      [2, () => users.create()],
      [3, () => users.rollBack()],
      [3, () => users.approve()],
      [2, () => users.runJob()],
      [1, () => users.remove()],
      [3, () => users.updateFile()],
      [4, () => users.changeAvailability()],
      [2, () => users.label()],
      [3, () => this.#demand.change()],
      [1, () => this.#removeNode()],
      [1, () => void this.#world.addNode()],
      [5, () => this.#cutAgent()],
      [4, () => this.#crashAgent()],
      [2, () => this.#muteAgent()],
      [6, () => this.#failTask()],
      [2, () => this.#crashManager()],
      [2, () => this.#cutManager()],
      [2, () => this.#transfer()],
      [2, () => this.#world.group.blink()],
    ];
    let at = dice.between(
      1,
      acts.reduce((sum, [weight]) => sum + weight, 0),
    );
    for (const [weight, act] of acts) {
      at -= weight;
      if (at <= 0) {
        act();
        return;
      }
    }
  }

  #removeNode(): void {
    const node = this.#users.worker();
    const agent = node === undefined ? undefined : this.#world.agents.get(node.id);
    if (node === undefined || agent === undefined || this.#world.agents.size < 6) return;
    agent.leave();
    this.#world.user(`remove node ${node.id}`, ({ control }, call) =>
      control.removeNode({ id: node.id, force: true }, call),
    );
  }

  #agent(): SimAgent | undefined {
    const agents = [...this.#world.agents.values()];
    return this.#world.dice.maybe(agents.filter((agent) => agent.isUp && !agent.isGone));
  }

  #cutAgent(): void {
    const agent = this.#agent();
    if (agent === undefined || agent.isCut) return;
    const { clock, dice, trace } = this.#world;
    const ms = dice.pick([300, 1_500, 4_000, 10_000, 60_000]);
    trace(`cut ${agent.nodeId} for ${ms} ms`);
    agent.cut();
    clock.after(ms, () => {
      if (agent.isCut) agent.heal();
    });
  }

  /** Its network hangs: what it is assigned is never confirmed. */
  #muteAgent(): void {
    const agent = this.#agent();
    if (agent === undefined || agent.isMute) return;
    const { clock, dice, trace } = this.#world;
    const ms = dice.pick([1_000, 10_000, 60_000]);
    trace(`mute ${agent.nodeId} for ${ms} ms`);
    agent.mute();
    clock.after(ms, () => agent.unmute());
  }

  #crashAgent(): void {
    const agent = this.#agent();
    if (agent === undefined) return;
    const { clock, dice, trace } = this.#world;
    const ms = dice.pick([500, 3_000, 20_000]);
    trace(`crash ${agent.nodeId} for ${ms} ms`);
    agent.crash();
    clock.after(ms, () => {
      if (!agent.isUp && !agent.isGone) agent.restart();
    });
  }

  #failTask(): void {
    const agent = this.#agent();
    const id = this.#world.dice.maybe(agent?.containers.running() ?? []);
    if (agent === undefined || id === undefined) return;
    this.#world.trace(`kill ${id} on ${agent.nodeId}`);
    agent.containers.fail(id);
  }

  #crashManager(): void {
    const { dice, clock, trace } = this.#world;
    const manager = dice.happens(0.7) ? this.#world.leader() : dice.maybe(this.#world.up());
    if (manager === undefined || this.#world.up().length < 3) return;
    const ms = dice.pick([500, 3_000, 15_000]);
    trace(`crash manager ${manager.seat.raftId} for ${ms} ms`);
    void manager[Symbol.asyncDispose]();
    clock.after(ms, () => {
      if (this.#world.managers.get(manager.seat.raftId) !== manager) return;
      trace(`manager ${manager.seat.raftId} starts again`);
      void this.#world.startManager(manager.seat);
    });
  }

  #cutManager(): void {
    const { dice, clock, trace, isolated, parted } = this.#world;
    const { raftId } = dice.pick(this.#world.seats as [SimWorld['seats'][0], ...SimWorld['seats']]);
    const cut = dice.happens(0.5) ? isolated : parted;
    const ms = dice.pick([500, 2_500, 12_000]);
    trace(`${cut === isolated ? 'isolate' : 'part'} manager ${raftId} for ${ms} ms`);
    cut.add(raftId);
    clock.after(ms, () => {
      cut.delete(raftId);
      for (const agent of this.#world.agents.values()) {
        if (!agent.isCut) agent.heal();
      }
    });
  }

  #transfer(): void {
    const leader = this.#world.leader();
    if (leader === undefined) return;
    this.#world.trace('hand leadership over');
    leader.core.raft.transferLeadership(undefined, new AbortController().signal).catch(() => {
      this.#world.trace('nobody to hand leadership to');
    });
  }
}
