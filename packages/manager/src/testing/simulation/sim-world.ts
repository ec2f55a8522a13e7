/** A whole cluster in one process: managers, machines, the network between them, and time. */
import { setImmediate } from 'node:timers/promises';

import { encodeChanges, type Call } from '@swarmd/api';
import { errorCode, errorMessage, silentLogger, type ErrorCode, type Logger } from '@swarmd/base';
import { ManualClock, SequentialIds } from '@swarmd/base/testing';
import { asId, type NodeId, type Service, type TaskId } from '@swarmd/model';

import { newNode } from '../../identity/new-node.ts';
import { sizeOf, type ClusterSize } from './cluster-size.ts';
import { Dice } from '@swarmd/base/testing';
import { genesis, MANAGERS } from './genesis.ts';
import { Judge } from './judge.ts';
import { SimAgent, type AgentWorld } from './sim-agent.ts';
import { SkewedClock } from './sim-clock.ts';
import { SimGroup } from './sim-group.ts';
import { SimManager, type ManagerSeat, type ManagerWorld } from './sim-manager.ts';
import { TimeJudge } from './time-judge.ts';

export type Trace = (line: string) => void;

export interface WorldOptions {
  readonly seed: number;
  readonly nodes: number;
  readonly trace?: Trace;
}

/** Answers that a user must expect of a cluster in trouble. */
const EXPECTED: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'already-exists',
  'cancelled',
  'deadline-exceeded',
  'failed-precondition',
  'not-found',
  'out-of-date',
  'resource-exhausted',
  'unavailable',
  'unknown-outcome',
]);

export class Violation extends Error {
  readonly rule: string;

  constructor(rule: string, message: string) {
    super(message);
    this.rule = rule;
  }
}

export class SimWorld implements AsyncDisposable {
  readonly clock = new ManualClock(1_000_000);
  readonly dice: Dice;
  readonly ids = new SequentialIds('x');
  readonly judge: Judge;
  readonly #timeJudge: TimeJudge;
  readonly group: SimGroup;
  readonly agents = new Map<NodeId, SimAgent>();
  readonly managers = new Map<number, SimManager>();
  readonly seats: readonly ManagerSeat[];
  /** Managers that nobody reaches, or that only other managers do not reach. */
  readonly isolated = new Set<number>();
  readonly parted = new Set<number>();
  readonly trace: Trace;
  /** Billionths of a CPU that a task uses; undefined: its node cannot tell. */
  load: (taskId: TaskId) => number | undefined = () => undefined;
  readonly #stop = new AbortController();
  readonly #logger: Logger;
  readonly #size: ClusterSize;
  #failure: Violation | undefined;
  steps = 0;

  private constructor(options: WorldOptions) {
    this.dice = new Dice(options.seed);
    this.#size = sizeOf(options.nodes);
    const write = options.trace;
    this.trace =
      write === undefined ? noTrace : (line) => write(`${Math.floor(this.clock.now())} ${line}`);
    this.#logger = write === undefined ? silentLogger : tracingLogger(this.trace);
    const { clock, dice, trace } = this;
    const broken = (rule: string, message: string): void => this.fail(rule, message);
    this.judge = new Judge({ clock, broken, trace });
    this.#timeJudge = new TimeJudge({ view: this.judge.view, broken });
    this.seats = MANAGERS.map((seat) => ({ ...seat, skewMs: dice.between(-300, 300) }));
    this.group = new SimGroup({
      clock,
      dice,
      trace,
      commitMs: this.#size.commitMs,
      members: this.seats.map(({ raftId, nodeId, address }) => ({
        raftId,
        nodeId,
        address,
        role: 'voter',
      })),
      reach: (a, b) => this.#reach(a, b),
      witness: this.judge.machine,
    });
  }

  static async create(options: WorldOptions): Promise<SimWorld> {
    const world = new SimWorld(options);
    const first = await genesis(options.nodes, world.clock.now());
    world.group.begin(first.map((changes) => encodeChanges(changes)));
    for (const node of world.judge.view.list('node')) world.#addAgent(node.id, node.index);
    return world;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    for (const manager of this.managers.values()) await manager[Symbol.asyncDispose]();
  }

  async start(): Promise<void> {
    for (const seat of this.seats) await this.startManager(seat);
    for (const agent of this.agents.values()) agent.start();
  }

  async startManager(seat: ManagerSeat): Promise<void> {
    const world: ManagerWorld = {
      clock: this.clock,
      dice: this.dice,
      ids: this.ids,
      logger: this.#logger,
      turnMs: this.#size.turnMs,
      group: this.group,
      managerAt: (address) => this.up().find((one) => one.seat.address === address),
      reach: (a, b) => this.#reach(a, b),
    };
    this.managers.set(seat.raftId, await SimManager.start(world, seat));
  }

  /** Plays until `untilMs`, or until `isDone`. */
  async run(untilMs: number, isDone: () => boolean = () => false): Promise<boolean> {
    for (;;) {
      if (isDone()) return true;
      const leftMs = untilMs - this.clock.now();
      if (leftMs <= 0) return false;
      this.clock.advance(Math.min(leftMs, this.clock.nextTimerInMs() ?? leftMs));
      await setImmediate();
      this.steps += 1;
      this.#timeJudge.look(this.clock.now(), this.#undisturbedReign());
      if (this.#failure !== undefined) throw this.#failure;
    }
  }

  fail(rule: string, message: string): void {
    this.trace(`BROKEN ${rule}: ${message}`);
    this.#failure ??= new Violation(rule, message);
  }

  up(): SimManager[] {
    return [...this.managers.values()].filter((manager) => manager.isUp);
  }

  /** One of a leader whom every manager reaches. */
  #undisturbedReign(): unknown {
    const isWhole = this.up().length === this.seats.length;
    if (!isWhole || this.isolated.size > 0 || this.parted.size > 0) return undefined;
    return this.leader()?.core.leadership.reign;
  }

  leader(): SimManager | undefined {
    return this.up().find((manager) => manager.core.leadership.reign !== undefined);
  }

  /** Somebody at a terminal of some manager. What is answered must be so. */
  user(what: string, act: (manager: SimManager, call: Call) => Promise<Service | void>): void {
    const manager = this.dice.maybe(this.up());
    if (manager === undefined) return;
    this.trace(`user at ${manager.seat.raftId}: ${what}`);
    const call: Call = { signal: this.#stop.signal, local: true };
    void act(manager, call).then(
      (service) => {
        this.trace(`done: ${what}`);
        if (service !== undefined) this.judge.answered(service);
      },
      (error: unknown) => {
        this.trace(`refused: ${what}: ${errorMessage(error)}`);
        if (EXPECTED.has(errorCode(error))) return;
        const stack = error instanceof Error ? (error.stack ?? '') : '';
        this.fail('answer', `${what}: ${errorMessage(error)}\n${stack}`);
      },
    );
  }

  /** A new machine, as if it had just got its certificate. */
  async addNode(): Promise<void> {
    const leader = this.leader();
    const { reign } = leader?.core.leadership ?? {};
    if (leader === undefined || reign === undefined) return;
    const id = asId('node', this.ids.next());
    const now = this.clock.now();
    try {
      await leader.core.store.update((tx) => {
        tx.put('node', newNode(tx, { id, role: 'worker', now }));
      }, reign.signal);
    } catch (error) {
      this.trace(`node ${id} did not join: ${errorMessage(error)}`);
    }
    const node = this.judge.view.get('node', id);
    if (node !== undefined) this.#addAgent(id, node.index).start();
  }

  linked(agent: SimAgent, manager: SimManager): boolean {
    return !agent.isCut && manager.isUp && !this.isolated.has(manager.seat.raftId);
  }

  #addAgent(nodeId: NodeId, index: number): SimAgent {
    const { clock, dice } = this;
    const world: AgentWorld = {
      clock: new SkewedClock(clock, dice.between(-300, 300)),
      dice,
      managers: () => this.up(),
      linked: (agent, manager) => this.linked(agent, manager),
      usageOf: (taskId) => {
        const nanoCpus = this.load(taskId);
        return nanoCpus === undefined ? undefined : { taskId, nanoCpus, memoryBytes: 0 };
      },
      acknowledged: (node, task, status) => this.judge.acknowledged(node, task, status),
    };
    const agent = new SimAgent(world, {
      nodeId,
      address: `192.168.${index >> 8}.${index & 255}`,
      description: {
        hostname: `host-${index}`,
        platform: { os: 'linux', architecture: 'amd64' },
        resources: { nanoCpus: 4e9, memoryBytes: 1_000 * 1024 ** 2, generic: [] },
        engineVersion: 'simulation',
        networks: [],
        addresses6: [],
        labels: {},
      },
    });
    this.agents.set(nodeId, agent);
    return agent;
  }

  #reach(a: number, b: number): boolean {
    const isApart = (id: number): boolean => this.isolated.has(id) || this.parted.has(id);
    return a === b || (!isApart(a) && !isApart(b));
  }
}

function noTrace(): void {
  // Nobody listens.
}

function tracingLogger(trace: Trace): Logger {
  const say = (fields: object, message: string): void =>
    trace(`log: ${message} ${JSON.stringify(fields)}`);
  const logger: Logger = {
    debug: say,
    info: say,
    warn: say,
    error: say,
    child: () => logger,
  };
  return logger;
}
