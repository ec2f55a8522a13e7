/** A machine of the simulation and its agent: a session with some manager, tasks, statuses. */
import {
  applyDelta,
  type AgentMessage,
  type ManagerMessage,
  type TaskMeasure,
  type TaskUsage,
} from '@swarmd/api';
import { unreachable, type Clock } from '@swarmd/base';
import type { AssignmentSet, NodeDescription, NodeId, TaskId, TaskStatus } from '@swarmd/model';

import type { Dice } from '@swarmd/base/testing';
import { SimContainers } from './sim-containers.ts';
import { CLUSTER_ID, type SimManager } from './sim-manager.ts';
import { Inbox, SimPipe } from './sim-pipe.ts';

const HEARTBEAT_MS = 1_000;
/** Heartbeats without an answer after which it looks for another manager. */
const PATIENCE = 3;
const RECONNECT_MS: readonly [number, number] = [50, 500];
const DIAL_MS = 1_000;
const LATENCY_MS: readonly [number, number] = [0, 8];

export interface AgentWorld {
  readonly clock: Clock;
  readonly dice: Dice;
  readonly managers: () => readonly SimManager[];
  /** Is there a way between this node and that manager now? */
  readonly linked: (agent: SimAgent, manager: SimManager) => boolean;
  /** What a task that is to be measured uses. */
  readonly usageOf: (taskId: TaskId) => TaskUsage | undefined;
  /** A manager told the agent that this is settled. */
  readonly acknowledged: (nodeId: NodeId, taskId: TaskId, status: TaskStatus) => void;
}

interface Session {
  readonly manager: SimManager;
  readonly controller: AbortController;
  readonly toManager: SimPipe<AgentMessage>;
  readonly toAgent: SimPipe<ManagerMessage>;
  isOver: boolean;
  isWelcome: boolean;
  hasAssignments: boolean;
  heardAt: number;
}

export class SimAgent {
  readonly nodeId: NodeId;
  readonly containers: SimContainers;
  /** What it was told last; undefined before its first assignments. */
  assigned: AssignmentSet | undefined;
  isUp = true;
  isCut = false;
  isMute = false;
  /** It left: its machine is off for good. */
  isGone = false;
  readonly #world: AgentWorld;
  readonly #description: NodeDescription;
  readonly #address: string;
  readonly #unsettled = new Map<TaskId, { sequence: number; status: TaskStatus }>();
  #measures: readonly TaskMeasure[] = [];
  #session: Session | undefined;
  #sequence = 0;
  /** Version of the newest assignments of this session. */
  #applied: number | undefined;

  constructor(
    world: AgentWorld,
    node: { nodeId: NodeId; address: string; description: NodeDescription },
  ) {
    this.#world = world;
    this.nodeId = node.nodeId;
    this.#address = node.address;
    this.#description = node.description;
    this.containers = new SimContainers({
      clock: world.clock,
      dice: world.dice,
      report: (taskId, status) => this.#report([[taskId, status]]),
    });
  }

  get isConnected(): boolean {
    return this.#session?.hasAssignments === true && !this.#session.isOver;
  }

  /** Nothing left that it said and no manager settled. */
  get isSettled(): boolean {
    return this.#unsettled.size === 0;
  }

  start(): void {
    this.#reconnect();
    this.#beat();
  }

  cut(): void {
    this.isCut = true;
  }

  heal(): void {
    this.isCut = false;
    this.#session?.toManager.flush();
    this.#session?.toAgent.flush();
  }

  mute(): void {
    this.isMute = true;
  }

  unmute(): void {
    if (!this.isMute) return;
    this.isMute = false;
    this.#confirm();
  }

  #confirm(): void {
    if (this.isMute || this.#applied === undefined) return;
    this.#session?.toManager.send({ kind: 'applied', version: this.#applied });
  }

  crash(): void {
    this.isUp = false;
    this.containers.powerOff();
    if (this.#session !== undefined) this.#hangUp(this.#session);
  }

  restart(): void {
    this.isUp = true;
    this.containers.powerOn();
    this.#reconnect();
  }

  leave(): void {
    this.isGone = true;
    this.crash();
  }

  #beat(): void {
    const { clock } = this.#world;
    clock.after(HEARTBEAT_MS, () => {
      if (this.isGone) return;
      const session = this.#session;
      if (session !== undefined && this.isUp) {
        if (clock.monotonic() - session.heardAt > PATIENCE * HEARTBEAT_MS) this.#hangUp(session);
        else this.#speak(session);
      }
      this.#beat();
    });
  }

  #speak(session: Session): void {
    session.toManager.send({ kind: 'heartbeat' });
    const running = new Set(this.containers.running());
    const tasks = this.#measures.flatMap(({ taskId }) => {
      const usage = running.has(taskId) ? this.#world.usageOf(taskId) : undefined;
      return usage === undefined ? [] : [usage];
    });
    if (tasks.length > 0) session.toManager.send({ kind: 'usage', tasks });
  }

  #reconnect(): void {
    const { clock, dice } = this.#world;
    clock.after(dice.between(...RECONNECT_MS), () => {
      if (!this.isUp || this.#session !== undefined) return;
      const manager = dice.maybe(this.#world.managers());
      if (manager !== undefined && this.#world.linked(this, manager)) this.#connect(manager);
      else clock.after(DIAL_MS, () => this.#reconnect());
    });
  }

  #connect(manager: SimManager): void {
    const { clock, dice, linked } = this.#world;
    const inbox = new Inbox<AgentMessage>();
    const controller = new AbortController();
    controller.signal.addEventListener('abort', () => inbox.close(), { once: true });
    const pipe = {
      clock,
      latencyMs: dice.between(...LATENCY_MS),
      isOpen: () => linked(this, manager),
    };
    const session: Session = {
      manager,
      controller,
      toManager: new SimPipe<AgentMessage>(pipe, (message) => inbox.push(message)),
      toAgent: new SimPipe<ManagerMessage>(pipe, (message) => this.#hear(session, message)),
      isOver: false,
      isWelcome: false,
      hasAssignments: false,
      heardAt: clock.monotonic(),
    };
    this.#session = session;
    this.#measures = [];
    session.toManager.send({
      kind: 'hello',
      description: this.#description,
      address: this.#address,
      agentAddress: `${this.#address}:4244`,
    });
    void this.#listen(session, inbox);
  }

  /** Ends with the session, whoever ends it; an end behind a cut link is noticed by silence. */
  async #listen(session: Session, inbox: Inbox<AgentMessage>): Promise<void> {
    const peer = { nodeId: this.nodeId, role: 'worker', clusterId: CLUSTER_ID } as const;
    const { signal } = session.controller;
    const messages = session.manager.core.dispatcher.session(inbox, { signal, peer });
    try {
      for await (const message of messages) session.toAgent.send(message);
    } catch {
      // The reason is for a person at a terminal; an agent connects again whatever it says.
    }
    inbox.close();
    if (this.#world.linked(this, session.manager)) this.#hangUp(session);
  }

  #hangUp(session: Session): void {
    session.isOver = true;
    session.toAgent.close();
    session.toManager.close();
    // A manager behind a cut link hears of it only by the silence.
    if (this.#world.linked(this, session.manager)) session.controller.abort();
    if (this.#session !== session) return;
    this.#session = undefined;
    this.#applied = undefined;
    if (this.isUp) this.#reconnect();
  }

  #hear(session: Session, message: ManagerMessage): void {
    if (session.isOver) return;
    session.heardAt = this.#world.clock.monotonic();
    switch (message.kind) {
      case 'welcome':
        session.isWelcome = true;
        break;
      case 'assignments':
        this.#assign(message.delta);
        this.#applied = message.version;
        this.#confirm();
        if (!session.hasAssignments) {
          session.hasAssignments = true;
          this.#report([...this.containers.statuses()]);
        }
        break;
      case 'status-ack':
        this.#settle(message.sequence);
        break;
      case 'measures':
        this.#measures = message.tasks;
        break;
      case 'heartbeat':
      case 'managers':
      case 'node':
        break;
      default:
        unreachable(message);
    }
  }

  #assign(delta: Parameters<typeof applyDelta>[1]): void {
    const before = new Map(this.assigned?.tasks.map((task) => [task.id, task]));
    this.assigned = applyDelta(this.assigned, delta);
    for (const task of this.assigned.tasks) {
      if (before.get(task.id) !== task) this.containers.want(task);
      before.delete(task.id);
    }
    for (const id of before.keys()) {
      this.containers.forget(id);
      this.#unsettled.delete(id);
    }
  }

  #report(statuses: readonly [TaskId, TaskStatus][]): void {
    if (statuses.length === 0) return;
    const sequence = (this.#sequence += 1);
    for (const [taskId, status] of statuses) this.#unsettled.set(taskId, { sequence, status });
    if (this.#session?.hasAssignments !== true) return;
    const updates = statuses.map(([taskId, status]) => ({ taskId, status }));
    this.#session.toManager.send({ kind: 'statuses', sequence, updates });
  }

  #settle(sequence: number): void {
    for (const [taskId, said] of this.#unsettled) {
      if (said.sequence > sequence) continue;
      this.#unsettled.delete(taskId);
      this.#world.acknowledged(this.nodeId, taskId, said.status);
    }
  }
}
