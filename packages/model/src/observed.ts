/**
 * What is seen of containers, images and networks of a node. Executor, network plane and agent say it, the
 * API passes it on, people read it: nobody on the way changes a field.
 */

export interface ProcessInfo {
  /** On the node, and in the container. */
  readonly pid: number;
  readonly containerPid: number;
  readonly parentPid: number;
  readonly uid: number;
  /** As ps shows it: R, S, D, Z, T. */
  readonly state: string;
  readonly cpuMs: number;
  readonly memoryBytes: number;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly command: string;
}

/** One look at what a container uses; counters only grow. */
export interface ContainerStats {
  /** Milliseconds since the epoch. */
  readonly timestamp: number;
  readonly cpuNs: number;
  /** Without the page cache that the kernel gives back first. */
  readonly memoryBytes: number;
  /** 0: no limit. */
  readonly memoryLimitBytes: number;
  readonly pids: number;
  /** 0: no limit. */
  readonly pidsLimit: number;
  readonly blockReadBytes: number;
  readonly blockWriteBytes: number;
  readonly networkReceiveBytes: number;
  readonly networkSendBytes: number;
}

export interface HealthResult {
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly endedAt: number;
  /** 0: healthy. -1: it could not be run, or took too long. */
  readonly exitCode: number;
  readonly output: string;
}

export interface HealthReport {
  readonly state: 'starting' | 'healthy' | 'unhealthy';
  /** Failures in a row that count. */
  readonly failingStreak: number;
  /** The last ones, oldest first. */
  readonly results: readonly HealthResult[];
}

export interface PathInfo {
  readonly kind: 'file' | 'directory' | 'link' | 'other';
  readonly bytes: number;
  readonly mode: number;
  /** Milliseconds since the epoch. */
  readonly modifiedAt: number;
  /** Of a link. */
  readonly target: string;
}

/** One layer of an image on its way. */
export interface LayerProgress {
  /** Of its blob. */
  readonly digest: string;
  readonly state: 'waiting' | 'fetching' | 'present';
  /** Compressed. */
  readonly bytes: number;
  readonly totalBytes: number;
}

/** One thing of a node's network that was looked at. */
export interface NetworkFinding {
  /** e.g. "rules of web.1", "web.1 reaches web.2 (10.0.1.5)". */
  readonly subject: string;
  /** What is wrong with it, a line each; nothing when all is well. */
  readonly details: readonly string[];
  /** What should be there, in the words of the programs that make it; told when asked for a scope. */
  readonly wanted: readonly string[];
}
