/**
 * Thousands of agents in one process: their tasks are prepared and run at once, they confirm what
 * they are assigned, and send a heartbeat each second.
 */
import { once } from 'node:events';
import { connect } from 'node:net';
import { performance } from 'node:perf_hooks';

import type { AgentMessage, ManagerMessage } from '@swarmd/api';
import { sessionCodecs } from '@swarmd/api/testing';
import { systemClock } from '@swarmd/base/system';
import { rank, type Task, type TaskState } from '@swarmd/model';

import { FrameWriter, readFrames } from './frames.ts';
import type { AgentFigures } from './protocol.ts';

const HEARTBEAT_MS = 1_000;
/** Heartbeats are spread over the second. */
const TICK_MS = 20;
const RECONNECT_MS = 500;
/** How long an image that is there takes to be prepared and started. */
const START_MS = 100;

export class ScaleAgents {
  readonly #agents = new Map<number, Agent>();
  readonly #codecs = sessionCodecs();
  readonly #heartbeat = this.#codecs.fromAgent.encode({ kind: 'heartbeat' });
  readonly #seen = { connected: 0, sent: 0, sentAt: 0 };
  #beatenAt = systemClock.monotonic();
  /** Part of a heartbeat that is due. */
  #beatsOwed = 0;
  /** Who beats next. */
  #next = 0;

  constructor() {
    this.#tick();
  }

  figures(): AgentFigures {
    const { user, system } = process.cpuUsage();
    return { ...this.#seen, cpuMs: (user + system) / 1_000 };
  }

  /** Resolves when they are on their way; `figures` tells when they have arrived. */
  async add(range: { socket: string; from: number; to: number }): Promise<void> {
    const socket = connect(range.socket);
    await once(socket, 'connect');
    socket.on('error', () => socket.destroy());
    const writer = new FrameWriter(socket);
    readFrames(socket, (index, bytes) => {
      if (bytes.length === 0) this.#agents.get(index)?.comeAgain();
      else this.#agents.get(index)?.hear(this.#codecs.fromManager.decode(bytes));
    });
    for (let index = range.from; index < range.to; index += 1) {
      const agent = new Agent(index, {
        send: (message) => writer.write(index, this.#codecs.fromAgent.encode(message)),
        beat: () => writer.write(index, this.#heartbeat),
        onConnected: (isConnected) => {
          this.#seen.connected += isConnected ? 1 : -1;
        },
        onTask: () => {
          this.#seen.sent += 1;
          this.#seen.sentAt = performance.timeOrigin + performance.now();
        },
      });
      this.#agents.set(index, agent);
      agent.greet();
    }
  }

  /** By the clock: on a busy machine ticks come late, and each of many real agents would not. */
  #tick(): void {
    const { size } = this.#agents;
    const now = systemClock.monotonic();
    const due = Math.min(size, ((now - this.#beatenAt) / HEARTBEAT_MS) * size + this.#beatsOwed);
    this.#beatenAt = now;
    this.#beatsOwed = due % 1;
    for (let beat = 1; beat <= due; beat += 1) {
      this.#next = (this.#next + 1) % size;
      this.#agents.get(this.#next)?.beat();
    }
    systemClock.after(TICK_MS, () => this.#tick(), { unref: true });
  }
}

interface AgentPorts {
  readonly send: (message: AgentMessage) => void;
  readonly beat: () => void;
  readonly onConnected: (isConnected: boolean) => void;
  /** It was sent a task that it did not know. */
  readonly onTask: () => void;
}

class Agent {
  readonly #index: number;
  readonly #ports: AgentPorts;
  readonly #states = new Map<string, TaskState>();
  #isWelcome = false;
  #isConnected = false;
  #fresh: Task[] = [];
  #sequence = 0;

  constructor(index: number, ports: AgentPorts) {
    this.#index = index;
    this.#ports = ports;
  }

  greet(): void {
    const address = `192.168.${this.#index >> 8}.${this.#index & 255}`;
    this.#ports.send({
      kind: 'hello',
      description: {
        hostname: `host-${this.#index}`,
        platform: { os: 'linux', architecture: 'amd64' },
        resources: { nanoCpus: 64e9, memoryBytes: 256 * 1024 ** 3, generic: [] },
        engineVersion: 'scale',
        networks: [],
        addresses6: [],
        labels: {},
      },
      address,
      agentAddress: `${address}:4244`,
    });
  }

  /** The manager has ended its session. */
  comeAgain(): void {
    if (this.#isConnected) this.#ports.onConnected(false);
    this.#isConnected = false;
    this.#isWelcome = false;
    systemClock.after(RECONNECT_MS, () => this.greet());
  }

  beat(): void {
    if (this.#isWelcome) this.#ports.beat();
  }

  hear(message: ManagerMessage): void {
    this.#isWelcome = true;
    if (message.kind !== 'assignments') return;
    if (!this.#isConnected) this.#ports.onConnected(true);
    this.#isConnected = true;
    const { putTasks, removeTasks } = message.delta;
    for (const id of removeTasks) this.#states.delete(id);
    const stopped: Task[] = [];
    for (const task of putTasks) {
      const known = this.#states.get(task.id);
      if (rank(task.desiredState) > rank('complete')) {
        if (known === 'running' || known === 'preparing') stopped.push(task);
      } else if (known === undefined) {
        this.#states.set(task.id, 'preparing');
        this.#ports.onTask();
        this.#fresh.push(task);
      }
    }
    this.#ports.send({ kind: 'applied', version: message.version });
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
    this.#ports.send({ kind: 'statuses', sequence: (this.#sequence += 1), updates });
  }
}
