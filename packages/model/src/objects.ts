/**
 * The objects of a cluster as every manager holds them in memory. Plain immutable data: a change is
 * a new object with the same id. What users wrote is `spec`; the rest is written by the managers.
 */
import type { NodeEncryption, OverlayKeys } from './encryption.ts';
import type { ClusterId, ConfigId, NetworkId, NodeId, SecretId, ServiceId, TaskId } from './ids.ts';
import type {
  ClusterSpec,
  ConfigSpec,
  NetworkSpec,
  NodeRole,
  NodeSpec,
  SecretSpec,
} from './spec/cluster-objects.ts';
import type { PortConfig, ServiceSpec } from './spec/service.ts';
import type { TaskSpec } from './spec/task.ts';
import type { DesiredState, TaskState } from './task-state.ts';

export interface Meta {
  /** Raft index of the entry that wrote this state of the object. */
  readonly version: number;
  /** Milliseconds since the epoch, by the clock of the leader that proposed the write. */
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** Why a decision was taken: data for `explain`, a sentence for `service ps` and `inspect`. */
export interface Reason {
  /** Stable kebab-case name of the rule, e.g. "no-suitable-node". */
  readonly code: string;
  /** A sentence for people. */
  readonly message: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** When what is waited for comes by itself, e.g. the end of a restart delay. */
  readonly until?: number;
  /** Why a task has no node: how many nodes each filter turned away. */
  readonly placement?: { readonly refusals: readonly Refusal[] };
  /** How often it was so, one time after the other, only in other words; absent: once. */
  readonly times?: number;
  /** When it was so first; absent: at `at`. */
  readonly since?: number;
}

/** Nodes that do not take a task, by what they lack. */
export interface Refusal {
  /** The filter's words, e.g. "insufficient memory". */
  readonly filter: string;
  readonly nodes: number;
}

export interface Resources {
  readonly nanoCpus: number;
  readonly memoryBytes: number;
  /** What the node's configuration says that it has besides, e.g. GPUs. */
  readonly generic: readonly GenericResource[];
}

/** So many of a kind; if they have names, these and no others. */
export interface GenericResource {
  readonly kind: string;
  /** The number of names, if there are any. */
  readonly count: number;
  readonly names: readonly string[];
}

export interface NodeDescription {
  readonly hostname: string;
  readonly platform: { readonly os: string; readonly architecture: string };
  readonly resources: Resources;
  readonly engineVersion: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Networks that the machine has routes to, e.g. "192.168.1.0/24"; neither ours nor the default. */
  readonly networks: readonly string[];
  /** IPv6 addresses that others may reach it at. */
  readonly addresses6: readonly string[];
  /** Drivers and runtimes that containers here can have. Absent or empty: it does not tell. */
  readonly plugins?: readonly NodePlugin[];
  /** Absent: it is of a version that knows no encrypted networks. */
  readonly encryption?: NodeEncryption;
  /** IPv4 or IPv6 address for the traffic between containers. Absent or empty: that of its status. */
  readonly dataPathAddress?: string;
}

export interface NodePlugin {
  /** interface: one of the machine's own, that containers can appear on. */
  readonly kind: 'interface' | 'log' | 'network' | 'runtime' | 'volume';
  readonly name: string;
}

export type NodeState = 'unknown' | 'ready' | 'down';

export interface Node {
  readonly id: NodeId;
  readonly meta: Meta;
  readonly spec: NodeSpec;
  /** The role its newest certificate carries. */
  readonly role: NodeRole;
  /** It has had a manager's certificate, now or before. */
  readonly everManager?: boolean;
  /** Small number, unique among living nodes, >= 1: names its gateway subnet and ingress address. */
  readonly index: number;
  /** e.g. "100.64.3.0/24" and "10.255.0.3", derived from `index` and the cluster's pools. */
  readonly gatewaySubnet: string;
  readonly ingressAddress: string;
  readonly description?: NodeDescription;
  readonly status: {
    readonly state: NodeState;
    readonly message: string;
    /** Underlay address other nodes reach it at (also its VTEP). Empty until its first session. */
    readonly address: string;
    /** host:port of the agent's own gRPC listener (logs, later exec). Empty until its first session. */
    readonly agentAddress: string;
    /** When `state` last changed. */
    readonly since: number;
    /** Set while it restarts on purpose: it counts as ready until then. */
    readonly awayUntil?: number;
    /** How often it was lost lately: as of `at`; counts less as time passes. */
    readonly flaps?: { readonly losses: number; readonly at: number };
    /** While it is ready: it gets no new tasks until then, as it comes and goes. */
    readonly heldUntil?: number;
    /** While it is down: its tasks are replaced from then on, as many nodes were lost with it. */
    readonly replaceFrom?: number;
  };
  readonly manager?: {
    /** 53-bit Raft id; never used again once removed. */
    readonly raftId: number;
    /** host:port of its cluster API, and of its Raft listener. */
    readonly apiAddress: string;
    readonly raftAddress: string;
  };
}

export interface VirtualIp {
  readonly networkId: NetworkId;
  /** Without prefix length, e.g. "10.0.1.2". */
  readonly address: string;
}

export type UpdateState =
  | 'updating'
  | 'paused'
  | 'completed'
  | 'rollback-started'
  | 'rollback-paused'
  | 'rollback-completed';

export interface UpdateStatus {
  readonly state: UpdateState;
  readonly startedAt: number;
  readonly completedAt?: number;
  readonly message: string;
  /** Of an update with canary steps: where it stands. */
  readonly canary?: CanaryProgress;
}

export interface CanaryProgress {
  /** Steps of the spec that are behind it. */
  readonly passed: number;
  /** Since when every slot of the next step has its new task; undefined: not yet. */
  readonly waitsSince?: number;
  /** When the next step is passed if all stays well; undefined: when somebody says so. */
  readonly until?: number;
}

/** A spec that a service had. */
export interface PastSpec {
  /** Of the service then; names the spec. */
  readonly specVersion: number;
  readonly spec: ServiceSpec;
  /** When another one took its place. */
  readonly replacedAt: number;
}

export interface Service {
  readonly id: ServiceId;
  readonly meta: Meta;
  readonly spec: ServiceSpec;
  /** Version of the service when `spec` was last written. */
  readonly specVersion: number;
  readonly previousSpec?: ServiceSpec;
  /** The last specs before the present one, oldest first; undefined: none. */
  readonly history?: { readonly specs: readonly PastSpec[] };
  readonly endpoint: {
    /** As in the spec, with the published ports the managers chose. */
    readonly ports: readonly PortConfig[];
    readonly virtualIps: readonly VirtualIp[];
  };
  readonly updateStatus?: UpdateStatus;
  /** Of jobs: which run of it is the present one. */
  readonly jobStatus?: JobStatus;
  /** Of autoscaled services. */
  readonly autoscale?: AutoscaleStatus;
  readonly because: readonly Reason[];
}

export interface AutoscaleStatus {
  /** The number that was decided last; the bounds of the policy hold besides. */
  readonly replicas: number;
  readonly changedAt: number;
  /** Set while another number is wanted: since when without a break, and the least change wanted then. */
  readonly pressure?: {
    readonly since: number;
    readonly replicas: number;
  };
  /** Why nothing is done, for people; empty: all is as it should be. */
  readonly message: string;
}

export interface JobStatus {
  /** Grows with every run; tasks of earlier ones are removed. */
  readonly iteration: number;
  /** When the present run was asked for; 0: there was none yet. */
  readonly lastExecution: number;
  /** Of scheduled jobs: runs under way, and the last ones that ended or were skipped; oldest first. */
  readonly runs: readonly JobRun[];
  /** Of scheduled jobs: how far the schedule has been followed. */
  readonly schedule?: {
    /** Every time of the schedule up to this one was decided on. */
    readonly decidedUntil: number;
    /** The next one; undefined: there is none, or the schedule is suspended. */
    readonly nextAt?: number;
  };
}

export interface JobRun {
  /** `jobIteration` of its tasks; 0 when it was skipped. */
  readonly iteration: number;
  readonly state: 'active' | 'complete' | 'failed' | 'replaced' | 'skipped';
  /** The time of the schedule that it is for; undefined: a user asked for it. */
  readonly plannedFor?: number;
  /** When it was started, or skipped. */
  readonly at: number;
  readonly endedAt?: number;
  /** Why it was skipped, replaced or failed. */
  readonly message: string;
}

export interface TaskStatus {
  readonly state: TaskState;
  /** When this state was reached, by the clock of who observed it (agent or manager). */
  readonly timestamp: number;
  readonly message: string;
  /** Why it failed, was rejected, or cannot proceed. Empty when all is well. */
  readonly error: string;
  readonly containerId?: string;
  readonly pid?: number;
  readonly exitCode?: number;
  /** When a manager took note of it. */
  readonly appliedAt?: number;
  /** The container has the limits that the task had once it was given others so often; absent: never. */
  readonly limitsApplied?: number;
  /** As `limitsApplied`: these the container could not get, `error` says why; it is tried again. */
  readonly limitsRefused?: number;
}

export interface TaskNetwork {
  readonly networkId: NetworkId;
  /** With prefix length, e.g. "10.0.1.5/24". */
  readonly address: string;
  readonly aliases: readonly string[];
}

export interface Task {
  readonly id: TaskId;
  readonly meta: Meta;
  readonly serviceId: ServiceId;
  /** Name of the service when the task was made. */
  readonly serviceName: string;
  /** Set when its templates need to know more than the task: labels of the service when it was made. */
  readonly templating?: { readonly serviceLabels: Readonly<Record<string, string>> };
  /**
   * 1, 2, ... for replicated services and jobs; for global ones the `index` of the task's node; 0 for
   * standbys.
   */
  readonly slot: number;
  readonly spec: TaskSpec;
  /** The service's `specVersion` this task was made from. */
  readonly specVersion: number;
  /** How often it was given other limits than it was made with; absent: never. */
  readonly limitsChanged?: number;
  /** Of jobs: the run it belongs to. */
  readonly jobIteration?: number;
  readonly nodeId?: NodeId;
  /** While it has no node: which one is making room for it, and by which tasks. */
  readonly nominated?: { readonly nodeId: NodeId; readonly victims: readonly TaskId[] };
  /** A more important task of another service that needs its place on its node. */
  readonly preemptedBy?: TaskId;
  /** When it came to its slot, if it was a standby (slot 0) before. */
  readonly promotedAt?: number;
  readonly desiredState: DesiredState;
  /** While desired is "ready": when it should become "running" (restart delay, rolling update). */
  readonly startNotBefore?: number;
  readonly status: TaskStatus;
  /** When it was first reported running, by the clock of who observed it. Kept after it ended. */
  readonly startedAt?: number;
  /**
   * When a task that is to stop was let go of: every node that balances to it has confirmed that
   * nothing new comes, or was waited for long enough. Its own node is told to stop it only then.
   */
  readonly releasedAt?: number;
  readonly networks: readonly TaskNetwork[];
  /** Its address in its node's gateway subnet, without prefix; set with `nodeId`. */
  readonly gatewayAddress?: string;
  /** What it holds of its node's generic resources; set with `nodeId` if it reserves any. */
  readonly claimed?: { readonly generic: readonly GenericResource[] };
  /** Published ports that reach this task. */
  readonly ports: readonly PortConfig[];
  readonly because: readonly Reason[];
}

export interface Network {
  readonly id: NetworkId;
  readonly meta: Meta;
  readonly spec: NetworkSpec;
  /** VXLAN network identifier, unique in the cluster, >= 4097 (4096 is the ingress plane). */
  readonly vni: number;
  /** e.g. "10.0.1.0/24" and "10.0.1.1" (reserved, held by no host). */
  readonly subnet: string;
  readonly gateway: string;
  /** A /96 whose last 32 bits are the IPv4 address; empty without IPv6. */
  readonly subnet6: string;
}

export interface Secret {
  readonly id: SecretId;
  readonly meta: Meta;
  /** `data` is empty in everything the control API returns. */
  readonly spec: SecretSpec;
  /** 1, 2, ...: which version of its name it is. Contents of a version never change. */
  readonly number: number;
  /** When another version took its place; undefined: it is the newest of its name. */
  readonly replacedAt?: number;
}

export interface Config {
  readonly id: ConfigId;
  readonly meta: Meta;
  readonly spec: ConfigSpec;
  /** As those of secrets. */
  readonly number: number;
  readonly replacedAt?: number;
}

export interface JoinTokens {
  readonly worker: string;
  readonly manager: string;
}

export interface Cluster {
  readonly id: ClusterId;
  readonly meta: Meta;
  readonly spec: ClusterSpec;
  readonly rootCa: {
    readonly certificatePem: string;
    /** Empty in everything the control API returns. */
    readonly keyPem: string;
    readonly joinTokens: JoinTokens;
  };
  /**
   * Nodes that were removed and have had a manager's certificate, which outlives the removal. The newest
   * 1,000, oldest first.
   */
  readonly removedManagers: readonly NodeId[];
  /** Since there was an encrypted network. */
  readonly overlayKeys?: OverlayKeys;
}

/** The tables of the store, by the name used in changes and on the wire. */
export interface ObjectOf {
  cluster: Cluster;
  config: Config;
  network: Network;
  node: Node;
  secret: Secret;
  service: Service;
  task: Task;
}
export type TableName = keyof ObjectOf;
export const TABLE_NAMES = [
  'cluster',
  'config',
  'network',
  'node',
  'secret',
  'service',
  'task',
] as const satisfies readonly TableName[];

/** One write, as transactions collect it, Raft replicates it and watchers see it. */
export type Change = {
  [T in TableName]:
    | { readonly kind: 'put'; readonly table: T; readonly object: ObjectOf[T] }
    | { readonly kind: 'delete'; readonly table: T; readonly id: ObjectOf[T]['id'] };
}[TableName];
