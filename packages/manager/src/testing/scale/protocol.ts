/** What the orchestration benchmark and a manager process of it tell each other. */
import type { ManagerOptions } from '../../options.ts';

export type ScaleStart = Omit<ManagerOptions, 'clock' | 'random' | 'ids' | 'logger'>;

export type ScaleRequest =
  | { readonly kind: 'start'; readonly options: ScaleStart }
  /** Leader only: so many nodes enter the cluster, named "n0", "n1", ... */
  | { readonly kind: 'nodes'; readonly count: number }
  /** Attaches the agents of nodes `from` to `to` - 1 here. */
  | { readonly kind: 'agents'; readonly from: number; readonly to: number }
  | { readonly kind: 'figures' };

export interface ScaleFigures {
  /** Tasks that have a node; tasks that run; by this manager's replica. */
  readonly placed: number;
  readonly running: number;
  /** Milliseconds since the epoch, with a fraction: when the last task got its node. */
  readonly placedAt: number;
  /** The same: when an agent here was last sent a task it did not know. */
  readonly sentAt: number;
  /** The same: when the newest commit was applied. */
  readonly committedAt: number;
  readonly connected: number;
  readonly isLeader: boolean;
  readonly rssMiB: number;
  readonly heapMiB: number;
  /** Of the process, its Raft worker included, since it began. */
  readonly cpuMs: number;
  /** Of the event loop of the main thread, since the last request for figures. */
  readonly longestStallMs: number;
}

export type ScaleAnswer =
  | { readonly kind: 'started'; readonly controlSocket: string }
  | { readonly kind: 'done' }
  | { readonly kind: 'figures'; readonly figures: ScaleFigures }
  | { readonly kind: 'failed'; readonly error: string };
