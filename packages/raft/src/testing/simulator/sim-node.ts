/** One simulated member: the driver's part (write, send, apply) around a real core. */
import { assert } from '@swarmd/base';
import { decodeConfChange } from '../../core/conf-change-codec.ts';
import { MemoryLog } from '../../core/memory-log.ts';
import { RaftCore } from '../../core/raft-core.ts';
import type {
  ConfState,
  Entry,
  HardState,
  Input,
  Message,
  RaftConfig,
  RaftId,
  Ready,
  Status,
} from '../../core/types.ts';
import { appendTo, compactOn, installOn, type SimDisk, type StoredState } from './sim-disk.ts';
import type { Parcel } from './sim-network.ts';

/** What a node needs of its world. */
export interface NodeWorld {
  readonly chance: { next(): number; between(low: number, high: number): number };
  after(delayMs: number, run: () => void): void;
  send(parcel: Parcel): void;
  stepped(node: SimNode): void;
  wrote(node: SimNode, ready: Ready): void;
  durable(node: SimNode, hard: HardState): void;
  applied(node: SimNode, entry: Entry): void;
  acknowledged(id: number, index: number): void;
  readServed(id: number, applied: number): void;
  /** Milliseconds that a write takes now. */
  diskDelayMs(id: RaftId): number;
}

export interface SimNodeOptions {
  readonly disk: SimDisk;
  readonly config: (applied: number) => RaftConfig;
  /** Entries applied between two snapshots. */
  readonly snapshotEvery: number;
}

interface State {
  index: number;
  commands: string[];
  conf: ConfState;
}

export class SimNode {
  readonly id: RaftId;
  readonly disk: SimDisk;
  readonly #world: NodeWorld;
  readonly #options: SimNodeOptions;
  /** Events of an earlier life are not for this one. */
  #life = 0;
  #core: RaftCore | undefined;
  #log = new MemoryLog();
  #state: State;
  #snapshot: StoredState;
  #toApply: Entry[] = [];
  #writes = new Map<number, { index: number; term: number }>();
  #reads: { id: number; index: number }[] = [];
  #incoming: StoredState | undefined;
  #writing = false;
  /** Of the entry at the state's index. */
  #lastTerm = 0;
  /** Terms of entries on their way to the disk. */
  readonly #unwritten = new Map<number, number>();

  constructor(id: RaftId, world: NodeWorld, options: SimNodeOptions) {
    this.id = id;
    this.#world = world;
    this.#options = options;
    this.disk = options.disk;
    this.#snapshot = this.disk.durable.snapshot;
    this.#state = stateOf(this.#snapshot);
  }

  get running(): boolean {
    return this.#core !== undefined;
  }

  get commands(): readonly string[] {
    return this.#state.commands;
  }

  get appliedIndex(): number {
    return this.#state.index;
  }

  status(): Status | undefined {
    return this.#core?.status();
  }

  conf(): ConfState | undefined {
    return this.#core?.confState();
  }

  /** The log as of the last Ready, durable or not. Beyond its end it may show what was replaced. */
  termOf(index: number): number | undefined {
    return this.#unwritten.get(index) ?? this.#log.term(index);
  }

  start(): void {
    assert(!this.#core, 'it is not running');
    const { hard, base, entries, snapshot } = this.disk.durable;
    this.#log = new MemoryLog({ snapshot: snapshot.meta, base, entries });
    this.#snapshot = snapshot;
    this.#state = stateOf(snapshot);
    this.#lastTerm = snapshot.meta.term;
    this.#core = new RaftCore({
      config: this.#options.config(snapshot.meta.index),
      random: this.#world.chance,
      log: this.#log,
      hard,
      conf: snapshot.meta.confState,
    });
    this.#pump();
  }

  crash(): void {
    this.#life++;
    this.#core = undefined;
    this.#writing = false;
    this.#unwritten.clear();
    this.#toApply = [];
    this.#writes.clear();
    this.#reads = [];
    this.#incoming = undefined;
  }

  step(input: Input): void {
    if (!this.#core) return;
    this.#core.step(input);
    this.#pump();
  }

  receive({ message, state }: Parcel): void {
    if (!this.#core) return;
    if (message.kind === 'snapshot') this.#incoming = state;
    this.step({ kind: 'message', message });
  }

  #pump(): void {
    const core = this.#core;
    if (!core) return;
    for (let ready = core.ready(); ready; ready = core.ready()) this.#handle(ready);
    this.#world.stepped(this);
  }

  #handle(ready: Ready): void {
    this.#world.wrote(this, ready);
    this.#expect(ready.append);
    for (const message of ready.messages) this.#send(message);
    for (const { id, index, term } of ready.proposed) this.#writes.set(id, { index, term });
    this.#reads.push(...ready.reads);
    this.#serveReads();
    const { snapshotFrom = Infinity } = ready;
    const { index } = this.#snapshot.meta;
    if (index < snapshotFrom && snapshotFrom <= this.#state.index) this.#takeSnapshot();
    // What is still to be applied is covered by the snapshot.
    if (ready.snapshot) {
      this.#toApply = [];
      this.#unwritten.clear();
      this.#unwritten.set(ready.snapshot.index, ready.snapshot.term);
    }
    if (ready.committed.length > 0) this.#enqueueApply(ready.committed);
    this.#write(ready);
  }

  #expect(append: readonly Entry[]): void {
    const from = append[0]?.index ?? Infinity;
    for (const index of this.#unwritten.keys()) {
      if (index >= from) this.#unwritten.delete(index);
    }
    for (const { index, term } of append) this.#unwritten.set(index, term);
  }

  #write(ready: Ready): void {
    const { hard, append, snapshot } = ready;
    const incoming = snapshot ? this.#incoming : undefined;
    assert(!snapshot || incoming?.meta.index === snapshot.index, "a snapshot's state has arrived");
    this.#schedule({
      sync: ready.mustSync,
      change: (content) => {
        if (incoming) installOn(content, incoming);
        appendTo(content, append);
        if (hard) content.hard = hard;
      },
      done: () => {
        if (incoming) this.#install(incoming);
        this.#log.append(append);
        for (const { index, term } of append) {
          if (this.#unwritten.get(index) === term) this.#unwritten.delete(index);
        }
        if (hard) this.#world.durable(this, hard);
        for (const message of ready.messagesAfterPersist) this.#send(message);
        this.step({ kind: 'persisted', seq: ready.seq });
      },
    });
  }

  #schedule(write: {
    sync: boolean;
    change: Parameters<SimDisk['write']>[0]['change'];
    done: () => void;
  }): void {
    const life = this.#life;
    const done = (): void => {
      if (life === this.#life) write.done();
    };
    this.disk.write({ ...write, done });
    if (!this.#writing) this.#nextWrite();
  }

  #nextWrite(): void {
    const life = this.#life;
    this.#writing = true;
    this.#world.after(this.#world.diskDelayMs(this.id), () => {
      if (life !== this.#life) return;
      this.disk.complete();
      this.#writing = false;
      if (this.disk.busy) this.#nextWrite();
    });
  }

  #install(snapshot: StoredState): void {
    this.#log.install(snapshot.meta);
    this.#unwritten.delete(snapshot.meta.index);
    this.#snapshot = snapshot;
    this.#state = stateOf(snapshot);
    this.#lastTerm = snapshot.meta.term;
    this.#serveReads();
  }

  #send(message: Message): void {
    if (message.kind !== 'snapshot') {
      this.#world.send({ message });
      return;
    }
    // Only the newest is kept: an older one cannot be sent any more.
    if (message.snapshot.index === this.#snapshot.meta.index) {
      this.#world.send({ message, state: this.#snapshot });
    } else {
      this.step({ kind: 'snapshotStatus', peer: message.to, ok: false });
    }
  }

  #enqueueApply(entries: readonly Entry[]): void {
    const idle = this.#toApply.length === 0;
    this.#toApply.push(...entries);
    if (idle) this.#nextApply();
  }

  #nextApply(): void {
    const life = this.#life;
    this.#world.after(this.#world.chance.between(0, 3), () => {
      if (life !== this.#life) return;
      const entry = this.#toApply.shift();
      if (!entry) return;
      if (this.#toApply.length > 0) this.#nextApply();
      if (entry.index > this.#state.index) this.#apply(entry);
    });
  }

  #apply(entry: Entry): void {
    const core = this.#core;
    if (!core) return;
    assert(entry.index === this.#state.index + 1, `entry ${entry.index} is applied in order`);
    this.#world.applied(this, entry);
    if (entry.kind !== 'normal') {
      const change = decodeConfChange(entry);
      core.step({ kind: 'applyConfChange', index: entry.index, change });
      this.#state.conf = core.confState();
    } else if (entry.data.length > 0) {
      this.#state.commands.push(new TextDecoder().decode(entry.data));
    }
    this.#state.index = entry.index;
    this.#acknowledge(entry);
    this.#serveReads();
    this.#lastTerm = entry.term;
    if (entry.index - this.#snapshot.meta.index >= this.#options.snapshotEvery)
      this.#takeSnapshot();
    this.step({ kind: 'applied', index: entry.index });
  }

  #acknowledge(entry: Entry): void {
    for (const [id, write] of this.#writes) {
      if (write.index > entry.index) continue;
      this.#writes.delete(id);
      // Another leader's entry there: the write is lost, or was never acknowledged.
      if (write.index === entry.index && write.term === entry.term) {
        this.#world.acknowledged(id, entry.index);
      }
    }
  }

  #serveReads(): void {
    const due = this.#reads.filter((read) => read.index <= this.#state.index);
    this.#reads = this.#reads.filter((read) => read.index > this.#state.index);
    for (const read of due) this.#world.readServed(read.id, this.#state.index);
  }

  #takeSnapshot(): void {
    const { index, conf, commands } = this.#state;
    const keep = Math.floor(this.#options.snapshotEvery / 2);
    const snapshot: StoredState = {
      meta: { index, term: this.#lastTerm, confState: conf },
      commands: [...commands],
    };
    this.#schedule({
      sync: true,
      change: (content) => {
        if (content.snapshot.meta.index < index) compactOn(content, snapshot, keep);
      },
      done: () => {
        if (this.#snapshot.meta.index >= index) return;
        this.#snapshot = snapshot;
        this.#log.setSnapshot(snapshot.meta);
        this.#log.compact(Math.max(this.#log.first() - 1, index - keep));
      },
    });
  }
}

function stateOf({ meta, commands }: StoredState): State {
  return { index: meta.index, commands: [...commands], conf: meta.confState };
}
