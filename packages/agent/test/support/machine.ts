/** A machine in memory: containers that a test ends by hand, a network plane that remembers. */
import { SwarmError } from '@swarmd/base';
import {
  logColumns,
  type HealthcheckSpec,
  type LogChunk,
  type LogLine,
  type NetworkState,
  type ResourceLimits,
  type Task,
  type TaskId,
} from '@swarmd/model';
import type {
  ContainerExit,
  ContainerPhase,
  ContainerRequest,
  ExecResult,
  Executor,
  Images,
  NetworkAttachment,
  NetworkPlane,
  Volumes,
  Workbench,
} from '../../src/ports.ts';

interface Container {
  readonly request: ContainerRequest;
  phase: ContainerPhase;
  limits: ResourceLimits;
  readonly exited: PromiseWithResolvers<ContainerExit>;
  readonly lines: LogLine[];
}

/** Containers outlive the executor's users, as real ones outlive the agent. */
export class TestExecutor implements Executor {
  readonly containers = new Map<string, Container>();
  readonly pulled: string[] = [];
  /** Thrown by `pull`, once each, first come first. */
  readonly pullErrors: Error[] = [];
  startError: Error | undefined;
  health: ExecResult = { code: 0, output: '', timedOut: false };
  /** Containers that do not end when they are asked to. */
  stubborn = false;
  readonly workbench: Workbench = {
    isPaused: () => Promise.resolve(false),
  } as Partial<Workbench> as Workbench;
  readonly volumes = {} as Volumes;
  readonly images = {
    pullProgress: () => undefined,
    hold: () => ({ [Symbol.dispose]: () => undefined }),
  } as Partial<Images> as Images;

  plugins(): readonly [] {
    return [];
  }

  restore(): Promise<ReadonlyMap<string, ContainerPhase>> {
    return Promise.resolve(new Map([...this.containers].map(([id, { phase }]) => [id, phase])));
  }

  async update(id: string, limits: ResourceLimits): Promise<void> {
    await Promise.resolve();
    this.get(id).limits = limits;
  }

  async pull(image: string): Promise<void> {
    await Promise.resolve();
    const error = this.pullErrors.shift();
    if (error !== undefined) throw error;
    this.pulled.push(image);
  }

  async prepare(request: ContainerRequest): Promise<void> {
    await Promise.resolve();
    if (this.containers.has(request.id)) return;
    const exited = Promise.withResolvers<ContainerExit>();
    this.containers.set(request.id, {
      request,
      phase: 'created',
      limits: request.limits,
      exited,
      lines: [],
    });
  }

  async start(id: string): Promise<{ pid: number }> {
    await Promise.resolve();
    if (this.startError !== undefined) throw this.startError;
    this.get(id).phase = 'running';
    return { pid: 4_711 };
  }

  wait(id: string, signal: AbortSignal): Promise<ContainerExit> {
    const { promise, reject, resolve } = Promise.withResolvers<ContainerExit>();
    signal.addEventListener('abort', () => reject(new SwarmError('cancelled', 'stopped waiting')));
    void this.get(id).exited.promise.then(resolve);
    return promise;
  }

  async stop(id: string): Promise<void> {
    await Promise.resolve();
    if (!this.stubborn) this.exit(id, 143);
  }

  async remove(id: string): Promise<void> {
    await Promise.resolve();
    this.containers.delete(id);
  }

  async *logs(id: string): AsyncIterable<LogChunk> {
    await Promise.resolve();
    yield { ...logColumns(this.get(id).lines), cursor: 'end', notice: '' };
  }

  logAttributes(): Readonly<Record<string, string>> {
    return { tag: 'a tag' };
  }

  exec(): Promise<ExecResult> {
    return Promise.resolve(this.health);
  }

  healthcheck(id: string): HealthcheckSpec | undefined {
    return this.containers.get(id)?.request.spec.healthcheck;
  }

  /** The container's process ends by itself. */
  exit(id: string, code: number): void {
    const container = this.get(id);
    container.phase = 'exited';
    container.exited.resolve({ code, oomKilled: false, error: '' });
  }

  get(id: string): Container {
    const container = this.containers.get(id);
    if (container === undefined) throw new SwarmError('not-found', `no container ${id}`);
    return container;
  }
}

export class TestPlane implements NetworkPlane {
  readonly namespaces = new Set<TaskId>();
  readonly applied: NetworkState[] = [];
  applyError: Error | undefined;
  readonly encryption = { lacks: '', incarnation: '', newestKey: 0 };

  onEncryptionChange(): Disposable {
    return { [Symbol.dispose]: () => undefined };
  }

  async apply(state: NetworkState): Promise<void> {
    await Promise.resolve();
    if (this.applyError !== undefined) throw this.applyError;
    this.applied.push(state);
  }

  async attach(task: Task): Promise<NetworkAttachment> {
    await Promise.resolve();
    this.namespaces.add(task.id);
    return {
      namespace: `/run/netns/${task.id}`,
      addresses: ['10.0.0.5/24'],
      resolver: { nameservers: ['10.0.0.1'], search: [], options: [] },
    };
  }

  async detach(taskId: TaskId): Promise<void> {
    await Promise.resolve();
    this.namespaces.delete(taskId);
  }

  check(): Promise<readonly []> {
    return Promise.resolve([]);
  }

  attached(): Promise<readonly TaskId[]> {
    return Promise.resolve([...this.namespaces]);
  }
}
