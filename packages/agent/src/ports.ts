/**
 * What the agent needs of the machine it runs on: an executor for containers, a network plane.
 * `executor` and `network` fit by structure. What people do with containers, volumes and images passes
 * through the agent as it is, so those shapes are the executor's own; nothing of its code is imported.
 */
import type { Images, PullOptions, Volumes, Workbench } from '@swarmd/executor';
import type {
  ContainerSpec,
  HealthcheckSpec,
  LogChunk,
  NodePlugin,
  NetworkId,
  NetworkState,
  NodeEncryption,
  ResourceLimits,
  ServiceId,
  Task,
  TaskId,
} from '@swarmd/model';

export type {
  Images,
  LayerProgress,
  SessionInput,
  SessionStart,
  Volumes,
  Workbench,
} from '@swarmd/executor';

/** One file to be seen in the container, read-only, on memory only. */
export interface ContainerFile {
  /** Absolute path in the container. */
  readonly path: string;
  readonly data: Uint8Array;
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
}

export interface ContainerRequest {
  /** The task's id: also the container's id. */
  readonly id: string;
  /** Name shown to people: service.slot.task. */
  readonly name: string;
  readonly spec: ContainerSpec;
  readonly limits: ResourceLimits;
  readonly files: readonly ContainerFile[];
  /** Path of the network namespace to join. */
  readonly networkNamespace: string;
  /** For /etc/hosts and /etc/resolv.conf. */
  readonly hostname: string;
  readonly addresses: readonly string[];
  readonly nameservers: readonly string[];
  /** NAME=value pairs that the engine adds. */
  readonly labels: Readonly<Record<string, string>>;
}

export interface ContainerExit {
  /** 128 + n for signal n. */
  readonly code: number;
  readonly oomKilled: boolean;
  /** Empty, or what went wrong with the engine itself ("monitor lost"). */
  readonly error: string;
}

export type ContainerPhase = 'created' | 'running' | 'exited';

export interface ExecRequest {
  /** Program and arguments; not a shell line. */
  readonly argv: readonly string[];
  readonly timeoutMs: number;
}

export interface ExecResult {
  readonly code: number;
  /** Standard output and error in the order they arrived, bounded. */
  readonly output: string;
  readonly timedOut: boolean;
}

export interface LogOptions {
  readonly follow: boolean;
  /** Lines from the end; undefined for all. */
  readonly tail?: number | undefined;
  readonly sinceMs?: number | undefined;
  readonly untilMs?: number | undefined;
  /** Cursor of an earlier chunk: what comes behind it. */
  readonly after?: string | undefined;
}

/** Containers of this machine. All methods are idempotent by id, and safe after a crash of the agent. */
export interface Executor {
  /** Containers that exist from an earlier life of the agent, re-adopted. */
  restore(signal: AbortSignal): Promise<ReadonlyMap<string, ContainerPhase>>;
  /** Makes the image present. Errors say which registry said what. */
  pull(image: string, signal: AbortSignal, options?: PullOptions): Promise<void>;
  /** Creates the container so that `start` only has to let it go. Needs the image and the namespace. */
  prepare(request: ContainerRequest, signal: AbortSignal): Promise<void>;
  /** @returns the pid of the container's first process on this machine. */
  start(id: string, signal: AbortSignal): Promise<{ pid: number }>;
  /** Resolves when the container has exited, at once if it already has. */
  wait(id: string, signal: AbortSignal): Promise<ContainerExit>;
  /** Stop signal, then SIGKILL after the grace period. Resolves when it has exited. */
  stop(id: string, options: { graceMs: number; signal: AbortSignal }): Promise<void>;
  /** Kills if need be, and removes everything of the container. */
  remove(id: string, signal: AbortSignal): Promise<void>;
  logs(id: string, options: LogOptions, signal: AbortSignal): AsyncIterable<LogChunk>;
  /** What the container's log driver was told to give its lines: tag, labels, variables. */
  logAttributes(id: string): Readonly<Record<string, string>>;
  /** Runs a program in a running container, as its user and with its environment. */
  exec(id: string, request: ExecRequest, signal: AbortSignal): Promise<ExecResult>;
  /** Changes the limits of a running container to these; does nothing when it has them. */
  update(id: string, limits: ResourceLimits): Promise<void>;
  /** How to tell that a prepared container is healthy: the spec's check, else the image's. */
  healthcheck(id: string): HealthcheckSpec | undefined;
  /** Log drivers, volume drivers and runtimes of this machine, by now. */
  plugins(): readonly NodePlugin[];
  readonly workbench: Workbench;
  readonly volumes: Volumes;
  readonly images: Images;
}

export interface NetworkAttachment {
  /** Path of the container's network namespace. */
  readonly namespace: string;
  /** Addresses with prefix length inside the container, overlay networks first. */
  readonly addresses: readonly string[];
  readonly nameservers: readonly string[];
}

/** One thing that was looked at. */
export interface NetworkFinding {
  /** e.g. "rules of web.1", "web.1 reaches web.2 (10.0.1.5)". */
  readonly subject: string;
  /** What is wrong with it, a line each; nothing when all is well. */
  readonly details: readonly string[];
  /** What should be there; told when asked for a scope. */
  readonly wanted: readonly string[];
}

/** The network plane of this machine. */
export interface NetworkPlane {
  /** Brings the kernel to `state`. Calls while one is under way coalesce to the newest state. */
  apply(state: NetworkState, signal: AbortSignal): Promise<void>;
  /** Makes (or finds) the task's namespace with all its interfaces. Needs the networks applied. */
  attach(task: Task, signal: AbortSignal): Promise<NetworkAttachment>;
  /** Removes the task's namespace and all that belongs to it. */
  detach(taskId: TaskId, signal: AbortSignal): Promise<void>;
  /** Compares the kernel with what it should be, and tries ways to other nodes; repairs if asked. */
  check(options: {
    repair: boolean;
    /** Only what belongs to one of them. */
    scope?: { networkId?: NetworkId; serviceId?: ServiceId };
    signal: AbortSignal;
  }): Promise<readonly NetworkFinding[]>;
  /** Task ids that have a namespace on this machine, from an earlier life. */
  attached(signal: AbortSignal): Promise<readonly TaskId[]>;
  /** This node's part in encrypted networks, and when that changes. */
  readonly encryption: NodeEncryption;
  onEncryptionChange(listener: () => void): Disposable;
}
