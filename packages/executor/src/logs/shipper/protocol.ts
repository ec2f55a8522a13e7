/** Between the executor and the thread that passes logs on. */
import type { LogPlan } from '@swarmd/model';

/** One container's log that somebody else is to have. */
export interface ShipJob {
  readonly id: string;
  readonly plan: LogPlan;
  /** The newest of conmon's files. */
  readonly spool: string;
  /** The newest of the files of our own, where `plan` has such. */
  readonly target: string;
  /** How far it is; see `checkpoint.ts`. */
  readonly checkpoint: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly name: string;
  readonly image: string;
}

export type ToShipper =
  | { readonly kind: 'begin'; readonly job: ShipJob }
  /** Nothing more is written to its spool. */
  | { readonly kind: 'ended'; readonly id: string }
  /** Its files are about to go. */
  | { readonly kind: 'forget'; readonly id: string };

export type FromShipper =
  /** All of an ended container's log is where it should be. */
  | { readonly kind: 'done'; readonly id: string }
  | {
      readonly kind: 'trouble';
      readonly id: string;
      readonly message: string;
    }
  /** So many lines had to be given up, by now. */
  | { readonly kind: 'dropped'; readonly id: string; readonly lines: number };

/** Where lines go in the end. */
export interface Sink extends AsyncDisposable {
  /**
   * @returns how many of them, at least one, are out of our hands; the others come again.
   * @throws when it cannot take any now.
   */
  write(lines: readonly ShipLine[], signal: AbortSignal): Promise<number>;
  /** Of its own place, to be remembered together with ours. */
  readonly place?: { readonly generation: number; readonly size: number };
}

export interface ShipLine {
  readonly isError: boolean;
  /** Milliseconds since the epoch, with a fraction. */
  readonly timestamp: number;
  readonly text: Buffer;
}
