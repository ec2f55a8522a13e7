/** What a manager is started with. */
import type { Clock, Ids, Logger, Random } from '@swarmd/base';
import type { ClusterId, NodeId } from '@swarmd/model';
import type { RaftTiming } from '@swarmd/raft';

/** PEM texts. The certificate names this node, the cluster and the role manager. */
export interface ManagerIdentity {
  readonly certificatePem: string;
  readonly keyPem: string;
  readonly caPem: string;
}

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

export interface ManagerOptions {
  /** Holds `manager/raft/`: the log and snapshots. */
  readonly stateDir: string;
  /** Holds `control.sock`. */
  readonly runDir: string;
  readonly clusterId: ClusterId;
  readonly nodeId: NodeId;
  /** From `Membership.join`, or chosen freely by the first manager; never used again. */
  readonly raftId: number;
  /**
   * bootstrap: makes a new cluster. join: `Membership.join` has just admitted this manager. restart:
   * all is on disk.
   */
  readonly start: 'bootstrap' | 'join' | 'restart';
  /** With restart, when the other managers are lost for good: this one goes on as the only one. */
  readonly forceNewCluster?: boolean;
  readonly identity: ManagerIdentity;
  /** Cluster API, usually port 4242. */
  readonly listen: ListenAddress;
  /** Usually port 4243. */
  readonly raftListen: ListenAddress;
  /** host:port that other nodes use. */
  readonly advertise: { readonly api: string; readonly raft: string };
  /**
   * With start "bootstrap"; and again with "restart" as long as the cluster object may be missing
   * because the first start was interrupted. Ignored when it is there.
   */
  readonly bootstrap?: {
    /** Of `ClusterSpec`, what differs from the defaults; checked here. */
    readonly clusterSpec: object;
    readonly rootCa: { readonly certificatePem: string; readonly keyPem: string };
  };
  /** That of a local network unless said otherwise. */
  readonly raftTiming?: RaftTiming;
  /** Entries between two snapshots; Raft's default unless said otherwise. */
  readonly snapshotEvery?: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly ids: Ids;
  readonly logger: Logger;
}
