/** An agent without containers: its tasks run at once and stop when told, over a real session. */
import {
  connect,
  createDispatcherClient,
  type AgentMessage,
  type AssignmentDelta,
  type ManagerAddress,
  type TaskStatusUpdate,
} from '@swarmd/api';
import { errorMessage } from '@swarmd/base';
import {
  rank,
  type EncryptedPeer,
  type KeyRing,
  type NodeDescription,
  type NodeEncryption,
  type NodeId,
  type NodeRole,
  type Task,
  type TaskId,
  type TaskState,
} from '@swarmd/model';

import type { ManagerIdentity } from '../../src/index.ts';

const HEARTBEAT_MS = 100;
const RECONNECT_MS = 50;

export class FakeAgent implements AsyncDisposable {
  readonly nodeId: NodeId;
  readonly tasks = new Map<TaskId, Task>();
  /** Contents by id. */
  readonly secrets = new Map<string, string>();
  /** The keys of encrypted networks, and the other nodes that have some. */
  keys: KeyRing | undefined;
  encryptsMesh = false;
  readonly encryptedPeers = new Map<NodeId, EncryptedPeer>();
  #encryption: NodeEncryption = { lacks: '', incarnation: '', newestKey: 0 };
  #description: Partial<NodeDescription> = {};
  readonly errors: string[] = [];
  managers: readonly ManagerAddress[] = [];
  isConnected = false;
  role: NodeRole | undefined;
  acknowledged = -1;
  readonly identity: ManagerIdentity;
  /** Confirms every assignment at once. */
  confirms = true;
  /** Tasks of jobs do their work at once; otherwise they stop when they are to begin. */
  completes = false;
  /** Of the newest assignments. */
  version = 0;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  readonly #states = new Map<TaskId, TaskState>();
  #addresses: string[];
  #wake: (() => void) | undefined;
  #outgoing: AgentMessage[] = [];
  #sequence = 0;
  #slow = false;

  constructor(options: { nodeId: NodeId; identity: ManagerIdentity; address: string }) {
    this.nodeId = options.nodeId;
    this.identity = options.identity;
    this.#addresses = [options.address];
    this.#running = this.#run();
  }

  /** Tasks stay where they are, as if their images took long to come, until they are resumed. */
  hold(): void {
    this.#slow = true;
  }

  resume(): void {
    this.#slow = false;
    this.#act();
  }

  /** Says that its network follows what it was assigned. */
  confirm(): void {
    this.#send({ kind: 'applied', version: this.version });
  }

  /** Says that a task ended by itself. */
  fail(taskId: TaskId): void {
    this.#report([taskId], 'failed');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('the fake agent stops'));
    this.#wake?.();
    await this.#running;
  }

  async #run(): Promise<void> {
    for (let attempt = 0; !this.#stop.signal.aborted; attempt += 1) {
      const address = this.#addresses[attempt % this.#addresses.length]!;
      try {
        await this.#session(address);
      } catch (error) {
        if (!this.#stop.signal.aborted) this.errors.push(errorMessage(error));
      }
      if (!this.#stop.signal.aborted) await new Promise((done) => setTimeout(done, RECONNECT_MS));
    }
  }

  async #session(address: string): Promise<void> {
    using channel = connect({ address, tls: () => this.identity, serverRole: 'manager' });
    this.#outgoing = [];
    const timer = setInterval(() => this.#send({ kind: 'heartbeat' }), HEARTBEAT_MS);
    try {
      const messages = createDispatcherClient(channel).session(this.#messages(), {
        signal: this.#stop.signal,
      });
      for await (const message of messages) {
        if (message.kind === 'welcome') {
          this.isConnected = true;
          for (const [taskId, state] of this.#states) this.#report([taskId], state);
        }
        if (message.kind === 'node') this.role = message.role;
        if (message.kind === 'managers') {
          this.managers = message.managers;
          this.#addresses = message.managers.map((manager) => manager.address);
        }
        if (message.kind === 'status-ack') this.acknowledged = message.sequence;
        if (message.kind === 'assignments') {
          this.#assigned(message.delta);
          this.version = message.version;
          if (this.confirms) this.confirm();
        }
      }
    } finally {
      this.isConnected = false;
      clearInterval(timer);
    }
  }

  async *#messages(): AsyncIterable<AgentMessage> {
    yield this.#hello();
    while (!this.#stop.signal.aborted) {
      const next = this.#outgoing.shift();
      if (next !== undefined) yield next;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** Tells of its part in encrypted networks. */
  declare(encryption: NodeEncryption): void {
    this.#encryption = encryption;
    this.#send(this.#hello());
  }

  /** Tells of a machine that is different in this. */
  describe(description: Partial<NodeDescription>): void {
    this.#description = description;
    this.#send(this.#hello());
  }

  #hello(): AgentMessage {
    return {
      kind: 'hello',
      description: {
        hostname: `host-${this.nodeId}`,
        platform: { os: 'linux', architecture: 'amd64' },
        resources: { nanoCpus: 4e9, memoryBytes: 8 * 1024 ** 3, generic: [] },
        engineVersion: 'fake',
        networks: [],
        addresses6: [],
        labels: {},
        encryption: this.#encryption,
        ...this.#description,
      },
      address: '127.0.0.1',
      agentAddress: '127.0.0.1:1',
    };
  }

  #send(message: AgentMessage): void {
    this.#outgoing.push(message);
    this.#wake?.();
  }

  #assigned(delta: AssignmentDelta): void {
    if (delta.full) this.tasks.clear();
    for (const task of delta.putTasks) this.tasks.set(task.id, task);
    for (const id of delta.removeTasks) this.tasks.delete(id);
    if (delta.full) this.secrets.clear();
    for (const { id, data } of delta.putSecrets) {
      this.secrets.set(id, Buffer.from(data).toString());
    }
    for (const id of delta.removeSecrets) this.secrets.delete(id);
    if (delta.full) this.keys = undefined;
    if (delta.full) this.encryptedPeers.clear();
    this.keys = delta.network?.keys ?? this.keys;
    this.encryptsMesh = delta.network?.encryptsMesh ?? (!delta.full && this.encryptsMesh);
    for (const peer of delta.network?.putEncryptedPeers ?? []) {
      this.encryptedPeers.set(peer.nodeId, peer);
    }
    this.#act();
  }

  #act(): void {
    if (this.#slow) return;
    for (const task of this.tasks.values()) {
      const state = this.#states.get(task.id) ?? 'assigned';
      if (this.completes && task.desiredState === 'complete') {
        if (rank(state) < rank('complete')) this.#report([task.id], 'complete');
      } else if (rank(task.desiredState) > rank('running')) {
        if (rank(state) <= rank('running')) this.#report([task.id], 'shutdown');
      } else if (rank(state) < rank(task.desiredState)) {
        this.#report([task.id], task.desiredState);
      }
    }
  }

  #report(ids: readonly TaskId[], state: TaskState): void {
    const updates: TaskStatusUpdate[] = ids.map((taskId) => {
      this.#states.set(taskId, state);
      return { taskId, status: { state, timestamp: Date.now(), message: state, error: '' } };
    });
    this.#send({ kind: 'statuses', sequence: (this.#sequence += 1), updates });
  }
}
