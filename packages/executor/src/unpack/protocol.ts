/** What the executor and its unpacking process say to each other, as JSON over Node's IPC channel. */
import type { ErrorCode } from '@swarmd/base';

import type { BlobRequest } from '../registry/client.ts';
import type { LayerSource, UnpackedLayer } from './unpack-layer.ts';

export interface UnpackJob {
  readonly layer: LayerSource;
  /** From a registry, or a file of this machine. */
  readonly blob: BlobRequest | { readonly path: string };
  /** Where to unpack; must not exist. */
  readonly directory: string;
  /** Where the blob is kept while it comes, so that the next attempt need not begin anew. */
  readonly partial: string;
  /** Where it is kept when all of it has come and is right; in the same file system. */
  readonly keepAt: string;
}

export type ToUnpacker =
  | { readonly kind: 'unpack'; readonly job: number; readonly unpack: UnpackJob }
  | { readonly kind: 'cancel'; readonly job: number };

export type FromUnpacker =
  /** Bytes of the blob that are here. */
  | { readonly kind: 'progress'; readonly job: number; readonly bytes: number }
  | { readonly kind: 'done'; readonly job: number; readonly unpacked: UnpackedLayer }
  | {
      readonly kind: 'failed';
      readonly job: number;
      readonly code: ErrorCode;
      readonly message: string;
    };
