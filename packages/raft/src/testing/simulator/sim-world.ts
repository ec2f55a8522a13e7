/** One simulated group: nodes, network, disks, clients and the judge, on one queue of events. */
import type { ConfState, Entry, HardState, Message, RaftId, Ready } from '../../core/types.ts';
import type { Chance } from './chance.ts';
import { EventQueue } from './event-queue.ts';
import { History, commandOf } from './history.ts';
import { Invariants } from './invariants.ts';
import { TICK_MS, type Plan } from './plan.ts';
import { SimDisk } from './sim-disk.ts';
import { SimNetwork, type Parcel } from './sim-network.ts';
import { SimNode, type NodeWorld } from './sim-node.ts';

/** Where every group starts, so that later members get the first membership with a snapshot. */
const START = { term: 1, index: 1 };

/** The id of proposals that clients do not ask for. */
export const NOT_A_WRITE = 0;

const EMPTY: ConfState = {
  voters: [],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
};

export type Trace = (line: string) => void;

export class SimWorld implements NodeWorld {
  readonly chance: Chance;
  readonly plan: Plan;
  readonly events = new EventQueue();
  readonly history = new History();
  readonly invariants: Invariants;
  readonly network: SimNetwork;
  readonly #nodes = new Map<RaftId, SimNode>();
  readonly #paused = new Map<RaftId, (() => void)[]>();
  readonly #trace: Trace | undefined;
  steps = 0;
  maxDiskMs: number;

  constructor(options: { chance: Chance; plan: Plan; trace?: Trace }) {
    this.chance = options.chance;
    this.plan = options.plan;
    this.#trace = options.trace;
    this.maxDiskMs = this.plan.maxDiskMs;
    this.invariants = new Invariants((id) => this.#nodes.get(id)?.disk);
    this.network = new SimNetwork(
      this,
      { ...this.plan.network },
      {
        arrive: (parcel) => this.#arrive(parcel),
        lost: (parcel) => this.#lost(parcel),
      },
    );
    for (const id of this.plan.voters) {
      this.addNode(id, { ...EMPTY, voters: this.plan.voters });
    }
  }

  get nodes(): SimNode[] {
    return [...this.#nodes.values()];
  }

  node(id: RaftId): SimNode | undefined {
    return this.#nodes.get(id);
  }

  /** A founder starts with the first snapshot, a newcomer with nothing at all. */
  addNode(id: RaftId, conf?: ConfState): SimNode {
    const disk = new SimDisk(conf ?? EMPTY, conf ? START : { term: 0, index: 0 });
    const node = new SimNode(id, this, {
      disk,
      config: (applied) => this.plan.config(id, applied),
      snapshotEvery: this.plan.snapshotEvery,
    });
    this.#nodes.set(id, node);
    node.start();
    const drift = 1 + (this.chance.next() * 2 - 1) * this.plan.clockDrift;
    this.#tickForever(node, TICK_MS * drift);
    return node;
  }

  /** The member that leads the highest term, as far as the members themselves know. */
  leader(): SimNode | undefined {
    let best: SimNode | undefined;
    for (const node of this.nodes) {
      const status = node.status();
      if (status?.role !== 'leader') continue;
      if (status.term > (best?.status()?.term ?? 0)) best = node;
    }
    return best;
  }

  after(delayMs: number, run: () => void): void {
    this.events.after(delayMs, run);
  }

  log(what: () => string): void {
    this.#trace?.(`${this.events.now.toFixed(1).padStart(8)} ${what()}`);
  }

  runUntil(endMs: number, done: () => boolean = () => false): void {
    while (!done() && this.events.step(endMs)) this.steps++;
  }

  write(node: SimNode): void {
    const id = this.history.ask();
    this.log(() => `client: ${commandOf(id)} to ${node.id}`);
    node.step({ kind: 'propose', id, data: new TextEncoder().encode(commandOf(id)) });
  }

  read(node: SimNode): void {
    node.step({ kind: 'readIndex', id: this.history.ask() });
  }

  crash(node: SimNode): void {
    this.log(() => `crash of ${node.id}`);
    node.crash();
    node.disk.crash(this.chance);
  }

  restart(node: SimNode): void {
    this.log(() => `restart of ${node.id}: ${JSON.stringify(node.disk.durable.hard)}`);
    this.invariants.restarted(node.id);
    node.start();
  }

  /** Nothing happens on the node until `resume`; what arrives meanwhile waits in its sockets. */
  pause(id: RaftId): void {
    this.log(() => `pause of ${id}`);
    if (!this.#paused.has(id)) this.#paused.set(id, []);
  }

  resume(id: RaftId): void {
    const waiting = this.#paused.get(id) ?? [];
    this.#paused.delete(id);
    for (const run of waiting) run();
  }

  resumeAll(): void {
    for (const id of this.#paused.keys()) this.resume(id);
  }

  send(parcel: Parcel): void {
    this.invariants.sent(parcel.message);
    this.network.send(parcel);
  }

  stepped(node: SimNode): void {
    const status = node.status();
    const conf = node.conf();
    if (!status || !conf) return;
    const termOf = (index: number): number | undefined =>
      index > status.last ? undefined : node.termOf(index);
    this.invariants.observe({ id: node.id, status, conf, termOf });
  }

  wrote(node: SimNode, ready: Ready): void {
    const { soft, hard, append } = ready;
    if (soft || hard) {
      this.log(() => `${node.id}: ${JSON.stringify({ ...soft, ...hard, append: append.length })}`);
    }
    const first = append[0];
    if (first) this.invariants.written(node.id, ready, node.termOf(first.index - 1));
  }

  /** Only now does a vote count: one that a crash takes back was never given. */
  durable(node: SimNode, hard: HardState): void {
    if (hard.vote !== 0) this.invariants.voted(node.id, hard.term, hard.vote);
  }

  applied(node: SimNode, entry: Entry): void {
    this.invariants.applied(node.id, entry);
  }

  acknowledged(id: number, index: number): void {
    if (id === NOT_A_WRITE) return;
    this.log(() => `client: ${commandOf(id)} is at ${index}`);
    this.history.writeDone(id, index);
  }

  readServed(id: number, applied: number): void {
    this.history.readDone(id, applied);
  }

  diskDelayMs(): number {
    return this.chance.between(0, this.maxDiskMs);
  }

  #tickForever(node: SimNode, periodMs: number): void {
    this.after(periodMs, () => {
      // After a pause at most one tick is made up for.
      if (!this.#paused.has(node.id)) node.step({ kind: 'tick' });
      this.#tickForever(node, periodMs);
    });
  }

  #arrive(parcel: Parcel): void {
    const { message } = parcel;
    const node = this.#nodes.get(message.to);
    if (!node?.running) {
      this.#lost(parcel);
      return;
    }
    const waiting = this.#paused.get(message.to);
    if (waiting) {
      waiting.push(() => this.#arrive(parcel));
      return;
    }
    this.log(() => `${message.from}->${message.to} ${summary(message)}`);
    node.receive(parcel);
    if (message.kind === 'snapshot') this.#reportSnapshot(message, true);
  }

  #lost({ message }: Parcel): void {
    if (message.kind === 'snapshot') this.#reportSnapshot(message, false);
    else if (message.kind === 'append' && this.chance.happens(0.3)) {
      this.#nodes.get(message.from)?.step({ kind: 'unreachable', peer: message.to });
    }
  }

  /** The outcome of a transfer may get lost as well. */
  #reportSnapshot(message: Message, ok: boolean): void {
    if (this.chance.happens(0.2)) return;
    this.after(this.chance.between(1, 20), () => {
      this.#nodes.get(message.from)?.step({ kind: 'snapshotStatus', peer: message.to, ok });
    });
  }
}

function summary(message: Message): string {
  const { from: _from, to: _to, ...rest } = message;
  if (message.kind !== 'append') return JSON.stringify(rest);
  const entries = message.entries.map((entry) => `${entry.term}/${entry.index}`);
  return JSON.stringify({ ...rest, entries });
}
