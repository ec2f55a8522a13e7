/** What the orchestration benchmark and its processes tell each other. */
import type { ManagerOptions } from '../../options.ts';

export type ScaleStart = Omit<ManagerOptions, 'clock' | 'random' | 'ids' | 'logger'>;

/** To a manager. */
export type ScaleRequest =
  | { readonly kind: 'start'; readonly options: ScaleStart }
  /** Leader only: so many nodes enter the cluster, named "n0", "n1", ... */
  | { readonly kind: 'nodes'; readonly count: number }
  | { readonly kind: 'figures' };

/** To the process of all agents. */
export type AgentsRequest =
  /** Starts agents `from` to `to` - 1 at the manager behind the socket. */
  | { readonly kind: 'agents'; readonly socket: string; readonly from: number; readonly to: number }
  | { readonly kind: 'agent-figures' };

/** Times are milliseconds since the epoch, with a fraction. */
export interface ScaleFigures {
  /** Tasks that have a node; tasks that run; by this manager's replica. */
  readonly placed: number;
  readonly running: number;
  /** Nodes that are ready. */
  readonly ready: number;
  /** When the last task got its node. */
  readonly placedAt: number;
  /** When the newest commit was applied. */
  readonly committedAt: number;
  readonly isLeader: boolean;
  readonly rssMiB: number;
  readonly heapMiB: number;
  /** Of the process, its Raft worker included, since it began; and of its main thread alone. */
  readonly cpuMs: number;
  readonly mainCpuMs: number;
  /** Of the main thread, since the last request for figures: see `StallProbe`. */
  readonly stallMs: number;
  readonly stallCpuMs: number;
}

export interface AgentFigures {
  /** Agents that have their assignments. */
  readonly connected: number;
  /** Tasks that agents have been sent, each counted once. */
  readonly sent: number;
  /** When an agent was last sent a task it did not know. */
  readonly sentAt: number;
  readonly cpuMs: number;
}

export type ScaleAnswer =
  | {
      readonly kind: 'started';
      readonly controlSocket: string;
      /** Where agents of another process are let in. */
      readonly agentSocket: string;
    }
  | { readonly kind: 'done' }
  | { readonly kind: 'figures'; readonly figures: ScaleFigures }
  | { readonly kind: 'agent-figures'; readonly figures: AgentFigures }
  | { readonly kind: 'failed'; readonly error: string };
