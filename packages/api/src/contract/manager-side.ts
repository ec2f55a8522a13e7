/** Services of managers for joiners, for each other, and for automation. */
import type {
  Change,
  NetworkFinding,
  NodeDescription,
  NodeId,
  NodeRole,
  TableName,
} from '@swarmd/model';

import type { Call } from './call.ts';
import type { TaskStatusUpdate, TaskUsage } from './node-side.ts';

/** swarm.v1.Ca. Without a client certificate only `issueCertificate` with a token is allowed. */
export interface Ca {
  /**
   * First certificate (with a join token) or renewal (over a connection with the old one).
   * @param request `networks`: what a joiner's machine has routes to.
   */
  issueCertificate(
    request: { csrPem: string; token?: string; networks?: readonly string[] },
    call: Call,
  ): Promise<{
    nodeId: NodeId;
    role: NodeRole;
    clusterId: string;
    certificatePem: string;
    caPem: string;
  }>;
}

export interface RaftMemberInfo {
  readonly raftId: number;
  readonly nodeId: NodeId;
  readonly address: string;
  readonly role: 'voter' | 'learner';
}

/** swarm.v1.Membership, for nodes with a manager's certificate; forwarded to the leader. */
export interface Membership {
  /** Adds the caller as a learner; it is made a voter once it has caught up. */
  join(
    request: { apiAddress: string; raftAddress: string; raftId?: number },
    call: Call,
  ): Promise<{ raftId: number; clusterId: string; members: RaftMemberInfo[] }>;
  /** The caller is reached elsewhere from now on. */
  move(request: { apiAddress: string; raftAddress: string }, call: Call): Promise<void>;
  /** Removes the caller from the managers, if quorum stays. */
  leave(request: Record<string, never>, call: Call): Promise<void>;
  /** Raft as this manager sees it, for `swarm raft status`. */
  status(request: Record<string, never>, call: Call): Promise<RaftStatusInfo>;
}

export interface RaftStatusInfo {
  readonly raftId: number;
  readonly role: string;
  readonly term: number;
  /** 0 when none is known. */
  readonly leader: number;
  readonly commit: number;
  readonly applied: number;
  readonly first: number;
  readonly last: number;
  readonly members: readonly RaftMemberInfo[];
  readonly progress: readonly {
    readonly raftId: number;
    readonly state: string;
    readonly match: number;
    readonly next: number;
    readonly recentlyActive: boolean;
  }[];
  /** Newest entry covered by a snapshot on its disk; 0: none. */
  readonly snapshot: number;
  readonly logEntries: number;
  readonly logBytes: number;
  /** Since it heard the leader; 0 on the leader; undefined when none is known. */
  readonly leaderContactMs?: number;
  /** 0: leadership is not being handed over. */
  readonly transferTarget: number;
  /** 99 of 100 synced writes took no longer, microseconds. */
  readonly writeP99Us: number;
  readonly peers: readonly RaftPeerInfo[];
}

/** Another member, as the answering manager sees it. */
export interface RaftPeerInfo {
  readonly raftId: number;
  readonly connection: string;
  readonly connectionError: string;
  /** Undefined when no message of it has arrived. */
  readonly lastContactMs?: number;
  readonly queuedMessages: number;
  /** Only from the leader, as `inflightMessages`. */
  readonly behind?: number;
  readonly inflightMessages?: number;
  /** What keeps it from being up to date, for people; empty when nothing does. */
  readonly limit: string;
}

/** A session that ends at the reporting manager. */
export interface LiveNode {
  readonly nodeId: NodeId;
  readonly address: string;
  readonly agentAddress: string;
  /** Sent with the first report of a session and when it changed. */
  readonly description?: NodeDescription;
}

/** How far the network of a node has come: everything up to this Raft index is in its kernel. */
export interface AppliedNetwork {
  readonly nodeId: NodeId;
  readonly version: number;
}

/** Newest statuses of tasks of one node. */
export interface StatusReport {
  readonly nodeId: NodeId;
  readonly updates: readonly TaskStatusUpdate[];
}

/** swarm.v1.Leader: what managers tell the leader on behalf of the nodes whose sessions they hold. */
export interface Leader {
  reportStatuses(request: { reports: readonly StatusReport[] }, call: Call): Promise<void>;
  /**
   * To be called all the time, also when nobody was heard: a manager that is silent cannot say who is
   * alive. Answered at once, but once they are committed if there are descriptions. `lost`: nodes whose
   * session ended without a goodbye or whose heartbeat is overdue. `away`: nodes that restart on purpose;
   * answered once that is committed.
   */
  reportSessions(
    request: { live: readonly LiveNode[]; lost: readonly NodeId[]; away: readonly NodeId[] },
    call: Call,
  ): Promise<void>;
  /** While tasks wait to be let go of. A new leader is told everything again. */
  reportApplied(request: { nodes: readonly AppliedNetwork[] }, call: Call): Promise<void>;
  /** Of autoscaled services. Not stored: what is lost is measured again. */
  reportUsage(request: { tasks: readonly TaskUsage[] }, call: Call): Promise<void>;
}

/** swarm.v1.Watch: committed changes from the local replica of any manager. */
export interface Watch {
  /**
   * `includeExisting`: first every present object as a put. Then changes as they are committed. A
   * watcher that cannot keep up is ended with `resource-exhausted` and must start again.
   */
  watch(
    request: { tables: readonly TableName[]; includeExisting: boolean },
    call: Call,
  ): AsyncIterable<{ version: number; changes: Change[] }>;
}

/** swarm.v1.Local: the daemon of this machine, over its local socket only. */
export interface Local {
  info(request: Record<string, never>, call: Call): Promise<LocalInfo>;
  init(
    request: {
      advertiseAddress: string;
      listenAddress: string;
      spec: object;
      forceNewCluster: boolean;
      evenWithQuorum: boolean;
      dataPathAddress: string;
    },
    call: Call,
  ): Promise<LocalInfo>;
  join(
    request: {
      token: string;
      remotes: readonly string[];
      advertiseAddress: string;
      listenAddress: string;
      dataPathAddress: string;
    },
    call: Call,
  ): Promise<LocalInfo>;
  leave(request: { force: boolean }, call: Call): Promise<void>;
  /** `details` says what is wrong with a subject, and is empty when all is well. */
  checkNetwork(request: { repair: boolean }, call: Call): Promise<NetworkFinding[]>;
}

export interface LocalInfo {
  /** inactive: in no cluster. pending: joining. active. error: see `error`. */
  readonly state: 'inactive' | 'pending' | 'active' | 'error';
  readonly error: string;
  readonly nodeId: string;
  readonly clusterId: string;
  readonly role: NodeRole | '';
  readonly hostname: string;
  readonly version: string;
  /** This machine's advertised address, and the managers it knows (host:port). */
  readonly address: string;
  readonly managers: readonly string[];
  /** Path of the control API's socket; empty on workers. */
  readonly controlSocket: string;
}
