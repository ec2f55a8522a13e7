/** Everything that may happen to a cluster: users, broken machines and links, lost managers. */
import type { Node, NodeAvailability, Service, ServiceSpecInput } from '@swarmd/model';

import type { ClusterSize } from './cluster-size.ts';
import { randomSpec } from './random-specs.ts';
import type { SimAgent } from './sim-agent.ts';
import type { SimWorld } from './sim-world.ts';

const PAUSE_MS: readonly [number, number] = [100, 3_000];
const AVAILABILITY = ['active', 'active', 'active', 'pause', 'drain'] as const;

export interface NemesisOptions extends ClusterSize {
  /** Made before the trouble begins. */
  readonly services: number;
}

export class Nemesis {
  readonly #world: SimWorld;
  readonly #options: NemesisOptions;
  #isOver = false;
  #made = 0;

  constructor(world: SimWorld, options: NemesisOptions) {
    this.#world = world;
    this.#options = options;
    for (let made = 0; made < options.services; made += 1) this.#create();
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
    const acts: readonly [number, () => void][] = [
      [10, () => this.#update()],
      [4, () => this.#scale()],
      [2, () => this.#create()],
      [2, () => this.#rollBack()],
      [1, () => this.#remove()],
      [4, () => this.#availability()],
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

  #spec(name: string, mode?: ServiceSpecInput['mode']): ServiceSpecInput {
    const { dice, judge } = this.#world;
    const others = [...judge.view.list('service')].map(({ spec }) => spec.name);
    const kept = mode === undefined ? {} : { mode };
    return randomSpec(dice, { name, others, ...this.#options, ...kept });
  }

  #create(): void {
    this.#made += 1;
    const spec = this.#spec(`s${this.#made}`);
    this.#world.user(`create ${summary(spec)}`, ({ control }, call) =>
      control.createService({ spec }, call),
    );
  }

  #service(): Service | undefined {
    return this.#world.dice.maybe([...this.#world.judge.view.list('service')]);
  }

  #update(): void {
    const service = this.#service();
    if (service === undefined) return;
    this.#write(service, this.#spec(service.spec.name, service.spec.mode));
  }

  #write(service: Service, spec: ServiceSpecInput): void {
    const { id, meta } = service;
    this.#world.user(`update ${summary(spec)}`, ({ control }, call) =>
      control.updateService({ id, version: meta.version, spec, rollback: false }, call),
    );
  }

  #scale(): void {
    const service = this.#service();
    if (service?.spec.mode.kind !== 'replicated') return;
    const replicas = this.#world.dice.between(0, this.#options.replicasMax);
    this.#write(service, { ...service.spec, mode: { kind: 'replicated', replicas } });
  }

  #rollBack(): void {
    const service = this.#service();
    if (service?.previousSpec === undefined) return;
    const { id, meta, spec } = service;
    this.#world.user(`roll back ${spec.name}`, ({ control }, call) =>
      control.updateService({ id, version: meta.version, rollback: true }, call),
    );
  }

  #remove(): void {
    const service = this.#service();
    if (service === undefined) return;
    const { id, spec } = service;
    this.#world.user(`remove ${spec.name}`, ({ control }, call) =>
      control.removeService({ id }, call),
    );
  }

  #worker(): Node | undefined {
    const nodes = [...this.#world.judge.view.list('node')];
    return this.#world.dice.maybe(nodes.filter((node) => node.manager === undefined));
  }

  #availability(): void {
    const node = this.#worker();
    if (node === undefined) return;
    const availability = this.#world.dice.pick<NodeAvailability>(AVAILABILITY);
    const { id, meta } = node;
    this.#world.user(`${availability} ${id}`, async ({ control }, call) => {
      await control.updateNode(
        { id, version: meta.version, spec: { ...node.spec, availability } },
        call,
      );
    });
  }

  #removeNode(): void {
    const node = this.#worker();
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

function summary({ name, mode, task, update }: ServiceSpecInput): string {
  const size = mode?.kind === 'replicated' ? `x${mode.replicas}` : mode?.kind;
  return `${name} ${size} ${task.container.image} ${update?.order} p${update?.parallelism} ${update?.failureAction}`;
}
