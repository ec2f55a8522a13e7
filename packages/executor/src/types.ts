/**
 * The executor's port as its users see it. The agent declares the same shapes as its own port; the
 * two fit by structure, so that neither package imports the other.
 */
import type { ContainerSpec, ResourceLimits } from '@swarmd/model';

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
  /** The container's id: 1 to 64 letters, digits, ".", "_" or "-". */
  readonly id: string;
  readonly name: string;
  readonly spec: ContainerSpec;
  readonly limits: ResourceLimits;
  readonly files: readonly ContainerFile[];
  /** Path of the network namespace to join. */
  readonly networkNamespace: string;
  readonly hostname: string;
  /** With or without prefix length; the first ones come first in /etc/hosts. */
  readonly addresses: readonly string[];
  readonly nameservers: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
}

export interface ContainerExit {
  /** 128 + n for signal n. */
  readonly code: number;
  readonly oomKilled: boolean;
  /** Empty, or what went wrong with the engine itself. */
  readonly error: string;
}

export type ContainerPhase = 'created' | 'running' | 'exited';

export interface LogLine {
  readonly stream: 'stdout' | 'stderr';
  /** Milliseconds since the epoch, with a fraction. */
  readonly timestamp: number;
  /** Without the newline at its end. */
  readonly data: Uint8Array;
}

export interface LogOptions {
  readonly follow: boolean;
  /** Lines from the end; undefined for all. */
  readonly tail?: number;
  readonly sinceMs?: number;
}

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

/** Containers of this machine. All methods are idempotent by id, and safe after a crash. */
export interface Executor {
  /** Re-adopts what an earlier life left; removes what it had only half made. */
  restore(signal: AbortSignal): Promise<ReadonlyMap<string, ContainerPhase>>;
  pull(image: string, signal: AbortSignal): Promise<void>;
  prepare(request: ContainerRequest, signal: AbortSignal): Promise<void>;
  start(id: string, signal: AbortSignal): Promise<{ pid: number }>;
  wait(id: string, signal: AbortSignal): Promise<ContainerExit>;
  stop(id: string, options: { graceMs: number; signal: AbortSignal }): Promise<void>;
  remove(id: string, signal: AbortSignal): Promise<void>;
  logs(id: string, options: LogOptions, signal: AbortSignal): AsyncIterable<LogLine>;
  /** Runs a program in a running container, as its user and with its environment. */
  exec(id: string, request: ExecRequest, signal: AbortSignal): Promise<ExecResult>;
}
