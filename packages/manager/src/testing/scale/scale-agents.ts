/**
 * Thousands of agents on one manager, attached to its dispatcher without a network between: their
 * tasks are prepared and run at once, and they send a heartbeat each second.
 */
import type { AgentMessage, ManagerMessage } from '@swarmd/api';
import { systemClock } from '@swarmd/base/system';
import { rank, type ClusterId, type NodeId, type Task, type TaskState } from '@swarmd/model';

import type { Core } from '../../core.ts';
import { Inbox } from '../simulation/sim-pipe.ts';

const HEARTBEAT_MS = 1_000;
/** Heartbeats are spread over the second. */
const BEATS = 20;
/** How long an image that is there takes to be prepared and started. */
const START_MS = 100;

export interface ScaleOptions {
  readonly core: Core;
  readonly clusterId: ClusterId;
  /** Called when an agent first hears of a task. */
  readonly onTask: (task: Task) => void;
}

export class ScaleAgents {
  readonly #options: ScaleOptions;
  readonly #agents: Agent[] = [];
  #beat = 0;

  constructor(options: ScaleOptions) {
    this.#options = options;
    this.#tick();
  }

  get connected(): number {
    return this.#agents.filter((agent) => agent.hasAssignments).length;
  }

  add(nodeId: NodeId, index: number): void {
    const agent = new Agent(this.#options, nodeId, index);
    this.#agents.push(agent);
    void agent.run();
  }

  #tick(): void {
    this.#beat = (this.#beat + 1) % BEATS;
    for (let at = this.#beat; at < this.#agents.length; at += BEATS) {
      this.#agents[at]?.send({ kind: 'heartbeat' });
    }
    systemClock.after(HEARTBEAT_MS / BEATS, () => this.#tick(), { unref: true });
  }
}

class Agent {
  readonly nodeId: NodeId;
  hasAssignments = false;
  readonly #options: ScaleOptions;
  readonly #inbox = new Inbox<AgentMessage>();
  readonly #states = new Map<string, TaskState>();
  #fresh: Task[] = [];
  #sequence = 0;

  constructor(options: ScaleOptions, nodeId: NodeId, index: number) {
    this.#options = options;
    this.nodeId = nodeId;
    const address = `192.168.${index >> 8}.${index & 255}`;
    this.#inbox.push({
      kind: 'hello',
      description: {
        hostname: `host-${index}`,
        platform: { os: 'linux', architecture: 'amd64' },
        resources: { nanoCpus: 64e9, memoryBytes: 256 * 1024 ** 3, generic: [] },
        engineVersion: 'scale',
        networks: [],
        labels: {},
      },
      address,
      agentAddress: `${address}:4244`,
    });
  }

  send(message: AgentMessage): void {
    this.#inbox.push(message);
  }

  async run(): Promise<void> {
    const { core, clusterId } = this.#options;
    const peer = { nodeId: this.nodeId, role: 'worker', clusterId } as const;
    const { signal } = new AbortController();
    try {
      for await (const message of core.dispatcher.session(this.#inbox, { signal, peer })) {
        this.#hear(message);
      }
    } catch {
      // The manager stops; nobody looks at its agents any more.
      this.hasAssignments = false;
    }
  }

  #hear(message: ManagerMessage): void {
    if (message.kind !== 'assignments') return;
    this.hasAssignments = true;
    const { putTasks, removeTasks } = message.delta;
    for (const id of removeTasks) this.#states.delete(id);
    const stopped: Task[] = [];
    for (const task of putTasks) {
      const known = this.#states.get(task.id);
      if (rank(task.desiredState) > rank('complete')) {
        if (known === 'running' || known === 'preparing') stopped.push(task);
      } else if (known === undefined) {
        this.#states.set(task.id, 'preparing');
        this.#options.onTask(task);
        this.#fresh.push(task);
      }
    }
    this.#report(stopped, 'shutdown');
    if (this.#fresh.length > 0) this.#startLater();
  }

  #startLater(): void {
    const tasks = this.#fresh;
    this.#fresh = [];
    this.#report(tasks, 'preparing');
    systemClock.after(START_MS, () => {
      this.#report(
        tasks.filter((task) => this.#states.get(task.id) === 'preparing'),
        'running',
      );
    });
  }

  #report(tasks: readonly Task[], state: TaskState): void {
    if (tasks.length === 0) return;
    const timestamp = systemClock.now();
    const updates = tasks.map((task) => {
      this.#states.set(task.id, state);
      return { taskId: task.id, status: { state, timestamp, message: state, error: '' } };
    });
    this.#inbox.push({ kind: 'statuses', sequence: (this.#sequence += 1), updates });
  }
}
