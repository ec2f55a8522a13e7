/** What the daemon and its manager process say to each other over the channel of `fork`. */
import type { ErrorCode } from '@swarmd/base';
import type { ClusterId, NodeId } from '@swarmd/model';
import type { RaftProfile } from '@swarmd/raft';

import type { HostPort, LogLevel } from '../config/settings.ts';
import type { Credentials } from '../identity/identity.ts';

/** Everything a manager process needs to know. Plain data. */
export interface ManagerStart {
  readonly stateDir: string;
  readonly runDir: string;
  readonly logLevel: LogLevel;
  readonly raftProfile: RaftProfile;
  readonly nodeId: NodeId;
  readonly clusterId: ClusterId;
  readonly credentials: Credentials;
  readonly raftId: number;
  /** As in `RaftOptions`. */
  readonly raftStart: 'bootstrap' | 'join' | 'restart';
  /** The others are lost for good: this one goes on alone. */
  readonly forceNewCluster?: boolean;
  readonly apiListen: HostPort;
  /** host:port, as others reach it. */
  readonly apiAdvertise: string;
  readonly raftListen: HostPort;
  readonly raftAdvertise: string;
  /** Only for `bootstrap`. */
  readonly bootstrap?: {
    /** Checked by the manager. */
    readonly clusterSpec: object;
    readonly rootCa: { readonly certificatePem: string; readonly keyPem: string };
  };
}

export type ToManager =
  | { readonly kind: 'start'; readonly start: ManagerStart }
  /** A renewed certificate. */
  | { readonly kind: 'credentials'; readonly credentials: Credentials }
  | { readonly kind: 'stop' };

export type FromManager =
  /** It does not serve yet, and gets on. */
  | { readonly kind: 'working' }
  | { readonly kind: 'ready' }
  /** The process ends after this. */
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly message: string };

/** The argument that makes `swarmd` be a manager process; for nobody's eyes. */
export const MANAGER_ARGUMENT = 'manager-process';
