/** What a load process is asked for and answers: one JSON argument, JSON lines out. */

export type Target =
  | { readonly kind: 'etcd'; readonly address: string }
  /** The control API on TCP, as another manager would call it. */
  | { readonly kind: 'swarm'; readonly address: string; readonly identityDir: string }
  | { readonly kind: 'swarm-socket'; readonly path: string };

export interface LoadOrder {
  readonly target: Target;
  /** Each with a connection of its own, and one write under way. */
  readonly clients: number;
  /** So many writes of all clients together come first: time would warm a slow side up less. */
  readonly warmupWrites: number;
  /** From the end of the warm-up. */
  readonly measureMs: number;
  readonly valueBytes: number;
  /** Keys are new ones: prefix and number. */
  readonly prefix: string;
  /** Time limit of one write. */
  readonly timeoutMs: number;
  /** Also prints a line for each write: `TraceLine`. */
  readonly trace: boolean;
}

/** A warm-up that takes longer fails. */
export const WARM_UP_MAX_MS = 60_000;

export interface LoadResult {
  readonly writes: number;
  /** With those of the warm-up. */
  readonly allWrites: number;
  /** Processor time of the clients, for each write. */
  readonly clientMicroseconds: number;
  readonly errors: number;
  readonly seconds: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** Milliseconds of the real time, to be compared with other processes' of the same machine. */
export interface TraceLine {
  readonly began: number;
  readonly ended: number;
  readonly ok: boolean;
}
