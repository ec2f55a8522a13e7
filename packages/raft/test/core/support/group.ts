/** A group whose messages, clocks and disks move only when a test says so. */
import { productionConfig } from '../../../src/core/config.ts';
import { decodeConfChange } from '../../../src/core/conf-change-codec.ts';
import { MemoryLog } from '../../../src/core/memory-log.ts';
import { EMPTY_CONF_STATE } from '../../../src/core/membership.ts';
import { RaftCore } from '../../../src/core/raft-core.ts';
import type {
  ConfChangeStep,
  ConfState,
  Entry,
  HardState,
  Input,
  Message,
  RaftConfig,
  RaftId,
  Ready,
  Status,
  StepOutcome,
} from '../../../src/core/types.ts';

export const ELECTION_TICKS = 10;

/** Where founders start, so that a newcomer cannot replay how the group began. */
const START = { term: 1, index: 1 };

export function voters(...ids: RaftId[]): ConfState {
  return { ...EMPTY_CONF_STATE, voters: ids };
}

export function entry(term: number, index: number, text = ''): Entry {
  return { term, index, kind: 'normal', data: new TextEncoder().encode(text) };
}

export interface NodeOptions {
  readonly id: RaftId;
  readonly conf: ConfState;
  readonly config?: Partial<RaftConfig>;
  readonly entries?: readonly Entry[];
  readonly hard?: HardState;
  /** In [0, 1): where in its range the election timeout is drawn. */
  readonly dice?: number;
}

export class TestNode {
  readonly id: RaftId;
  readonly log: MemoryLog;
  readonly #options: NodeOptions;
  core: RaftCore;
  hard: HardState;
  /** True: writes wait for `persist`. */
  slowDisk = false;
  /** False: what is committed piles up in `toApply`. */
  applies = true;
  readonly unwritten: Ready[] = [];
  toApply: Entry[] = [];
  readonly applied: Entry[] = [];
  readonly reads: { id: number; index: number }[] = [];
  readonly dropped: Ready['dropped'][number][] = [];
  readonly proposed: Ready['proposed'][number][] = [];
  snapshotFrom = 0;
  outbox: Message[] = [];

  constructor(options: NodeOptions) {
    this.#options = options;
    this.id = options.id;
    const founder = options.conf !== EMPTY_CONF_STATE;
    const snapshot = { ...START, confState: options.conf };
    const { entries = [] } = options;
    this.log = new MemoryLog({ ...(founder && { snapshot }), entries });
    const started = founder ? START : { term: 0, index: 0 };
    this.hard = options.hard ?? { term: started.term, vote: 0, commit: started.index };
    this.core = this.#start();
  }

  #start(): RaftCore {
    const applied = this.log.snapshot()?.index ?? 0;
    return new RaftCore({
      config: {
        ...productionConfig(this.id, applied),
        electionTicks: ELECTION_TICKS,
        heartbeatTicks: 1,
        ...this.#options.config,
      },
      random: { next: () => this.#options.dice ?? this.id / 10 },
      log: this.log,
      hard: this.hard,
      conf: this.log.snapshot()?.confState ?? this.#options.conf,
    });
  }

  /** Loses everything that was not written. */
  restart(): void {
    this.unwritten.length = 0;
    this.outbox = [];
    this.toApply = [];
    this.core = this.#start();
  }

  step(input: Input): StepOutcome {
    return this.core.step(input);
  }

  status(): Status {
    return this.core.status();
  }

  /** Takes Readys until there are none. True if there was one. */
  work(): boolean {
    let worked = false;
    for (let ready = this.core.ready(); ready; ready = this.core.ready()) {
      worked = true;
      this.outbox.push(...ready.messages);
      this.reads.push(...ready.reads);
      this.dropped.push(...ready.dropped);
      this.proposed.push(...ready.proposed);
      this.snapshotFrom = ready.snapshotFrom ?? this.snapshotFrom;
      this.toApply.push(...ready.committed);
      this.unwritten.push(ready);
      while (!this.slowDisk && this.unwritten.length > 0) this.persist();
      if (this.applies) this.apply();
    }
    return worked;
  }

  /** The oldest write completes. */
  persist(): void {
    const ready = this.unwritten.shift();
    if (!ready) return;
    if (ready.hard) this.hard = ready.hard;
    if (ready.snapshot) this.log.install(ready.snapshot);
    this.log.append(ready.append);
    this.outbox.push(...ready.messagesAfterPersist);
    this.core.step({ kind: 'persisted', seq: ready.seq });
  }

  apply(): void {
    const entries = this.toApply;
    this.toApply = [];
    for (const applied of entries) {
      const { index, kind } = applied;
      if (kind !== 'normal') {
        this.step({ kind: 'applyConfChange', index, change: decodeConfChange(applied) });
      }
      this.applied.push(applied);
    }
    const last = entries.at(-1);
    if (last) this.step({ kind: 'applied', index: last.index });
  }

  texts(): string[] {
    return this.applied
      .filter(({ kind, data }) => kind === 'normal' && data.length > 0)
      .map(({ data }) => new TextDecoder().decode(data));
  }

  /** A snapshot of everything applied; the log before it is forgotten. */
  compact(): void {
    const { applied } = this.status();
    const term = this.log.term(applied) ?? 0;
    this.log.setSnapshot({ index: applied, term, confState: this.core.confState() });
    this.log.compact(applied);
  }
}

export class TestGroup {
  readonly #nodes = new Map<RaftId, TestNode>();
  /** Messages for which this is false get lost. */
  passes: (message: Message) => boolean = () => true;

  constructor(nodes: readonly NodeOptions[]) {
    for (const options of nodes) this.add(options);
  }

  /** `count` voters with ids from 1 on. */
  static of(count: number, config: Partial<RaftConfig> = {}): TestGroup {
    const ids = Array.from({ length: count }, (_, at) => at + 1);
    return new TestGroup(ids.map((id) => ({ id, conf: voters(...ids), config })));
  }

  add(options: NodeOptions): TestNode {
    const node = new TestNode(options);
    this.#nodes.set(options.id, node);
    return node;
  }

  node(id: RaftId): TestNode {
    const node = this.#nodes.get(id);
    if (!node) throw new Error(`no node ${id}`);
    return node;
  }

  get nodes(): TestNode[] {
    return [...this.#nodes.values()];
  }

  leaders(): RaftId[] {
    return this.nodes.filter((node) => node.status().role === 'leader').map(({ id }) => id);
  }

  /** Only messages within one of the sides pass. */
  split(...sides: RaftId[][]): void {
    this.passes = ({ from, to }) => sides.some((side) => side.includes(from) && side.includes(to));
  }

  heal(): void {
    this.passes = () => true;
  }

  /** Works and delivers until nothing is left to do. */
  settle(): void {
    for (let busy = true; busy;) {
      busy = false;
      for (const node of this.nodes) if (node.work()) busy = true;
      for (const message of this.collect()) {
        busy = true;
        this.#nodes.get(message.to)?.step({ kind: 'message', message });
      }
    }
  }

  /** What is on its way now, less what gets lost. */
  collect(): Message[] {
    const messages = this.nodes.flatMap((node) => node.outbox.splice(0));
    return messages.filter((message) => this.passes(message));
  }

  /** Time passes on the given nodes, or on all. */
  tick(count: number, ...ids: RaftId[]): void {
    const nodes = ids.length > 0 ? ids.map((id) => this.node(id)) : this.nodes;
    for (let at = 0; at < count; at++) {
      for (const node of nodes) node.step({ kind: 'tick' });
      this.settle();
    }
  }

  elect(id: RaftId): TestNode {
    this.node(id).step({ kind: 'campaign' });
    this.settle();
    return this.node(id);
  }

  propose(id: RaftId, text: string): StepOutcome {
    return this.node(id).step({
      kind: 'propose',
      id: 1,
      data: new TextEncoder().encode(text),
    });
  }

  change(id: RaftId, ...steps: ConfChangeStep[]): StepOutcome {
    const change = { transition: 'auto', steps, context: new Uint8Array() } as const;
    return this.node(id).step({ kind: 'proposeConfChange', id: 2, change });
  }
}
