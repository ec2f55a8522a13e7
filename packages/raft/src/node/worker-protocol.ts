/**
 * What main thread and Raft worker say to each other. Bytes travel in buffers of their own, which
 * are transferred, never in views of larger ones (a view would copy all of its buffer).
 */
import type { ErrorCode } from '@swarmd/base';

import type { MembershipChange, RaftOptions, RaftReport, RaftStatus, RaftTls } from './types.ts';

/** `workerData` of the worker. */
export interface WorkerStart {
  readonly options: RaftOptions;
  readonly protoDir: string | undefined;
}

export interface WireError {
  readonly code: ErrorCode;
  readonly message: string;
}

/** Committed entries of consecutive indexes, packed. */
export interface ApplyBatch {
  readonly first: number;
  readonly terms: readonly number[];
  /** Bytes of each entry in `data`, one after the other. */
  readonly lengths: readonly number[];
  readonly data: ArrayBuffer;
  /** This member's own proposals among them. */
  readonly done: readonly { readonly id: number; readonly index: number }[];
}

export type ToWorker =
  | { readonly kind: 'propose'; readonly id: number; readonly data: ArrayBuffer }
  | { readonly kind: 'read'; readonly id: number }
  | { readonly kind: 'forgetRead'; readonly id: number }
  | { readonly kind: 'change'; readonly id: number; readonly change: MembershipChange }
  | { readonly kind: 'transfer'; readonly id: number; readonly to: number | undefined }
  | { readonly kind: 'report'; readonly id: number }
  | { readonly kind: 'tls'; readonly tls: RaftTls }
  | { readonly kind: 'refuseNodes'; readonly nodeIds: readonly string[] }
  | { readonly kind: 'applied'; readonly index: number }
  | { readonly kind: 'restored' }
  | { readonly kind: 'restoreCredit' }
  /** The state machine's picture is taken as of `index`; its frames follow, as credit allows. */
  | { readonly kind: 'snapshotBegin'; readonly index: number }
  | { readonly kind: 'snapshotFrame'; readonly frame: ArrayBuffer }
  | { readonly kind: 'snapshotEnd' }
  | { readonly kind: 'pong' }
  | { readonly kind: 'stop' };

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export type FromWorker =
  /** Everything on disk is applied, the listener is open. */
  | { readonly kind: 'ready' }
  /** This member has stopped itself. */
  | { readonly kind: 'failed'; readonly error: WireError }
  | { readonly kind: 'status'; readonly status: RaftStatus }
  | { readonly kind: 'report'; readonly id: number; readonly report: RaftReport }
  | { readonly kind: 'apply'; readonly batch: ApplyBatch }
  /** Of a membership change or transfer that is done. */
  | { readonly kind: 'done'; readonly id: number }
  /** Of a proposal, change or transfer that is not. */
  | { readonly kind: 'refused'; readonly id: number; readonly error: WireError }
  /** Read `id` is good once everything up to `index` is applied. */
  | { readonly kind: 'readIndex'; readonly id: number; readonly index: number }
  | { readonly kind: 'takeSnapshot' }
  | { readonly kind: 'snapshotCredit' }
  | { readonly kind: 'dropSnapshot' }
  | { readonly kind: 'restoreBegin'; readonly index: number }
  | { readonly kind: 'restoreFrame'; readonly frame: ArrayBuffer }
  | { readonly kind: 'restoreEnd' }
  | { readonly kind: 'ping' }
  | {
      readonly kind: 'log';
      readonly level: LogLevel;
      readonly fields: object;
      readonly message: string;
    }
  | { readonly kind: 'stopped' };

/** A copy of `bytes` in a buffer of its own, to be transferred. */
export function ownBuffer(bytes: Uint8Array): ArrayBuffer {
  const buffer = new ArrayBuffer(bytes.length);
  new Uint8Array(buffer).set(bytes);
  return buffer;
}
