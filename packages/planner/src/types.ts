/** What planner functions read and answer. They are pure: no clock, no chance, no I/O. */
import type { Ids } from '@swarmd/base';
import type {
  Change,
  Cluster,
  Config,
  ConfigId,
  Network,
  NetworkId,
  Node,
  NodeId,
  Reason,
  Secret,
  SecretId,
  Service,
  ServiceId,
  Task,
  TaskId,
} from '@swarmd/model';

/** The reads that planning needs; the store's views fit by structure. */
export interface PlanView {
  get(table: 'service', id: ServiceId): Service | undefined;
  get(table: 'node', id: NodeId): Node | undefined;
  get(table: 'network', id: NetworkId): Network | undefined;
  get(table: 'task', id: TaskId): Task | undefined;
  get(table: 'secret', id: SecretId): Secret | undefined;
  get(table: 'config', id: ConfigId): Config | undefined;
  list(table: 'service'): Iterable<Service>;
  list(table: 'node'): Iterable<Node>;
  list(table: 'network'): Iterable<Network>;
  list(table: 'task'): Iterable<Task>;
  list(table: 'cluster'): Iterable<Cluster>;
  tasksByService(id: ServiceId): Iterable<Task>;
  tasksByNode(id: NodeId): Iterable<Task>;
  /** Differs once anything was written to the table; undefined: nobody keeps count. */
  writesOf?(table: 'node' | 'service'): number;
  /** For what is derived from all tasks: those written since `mark`; undefined: read all again. */
  tasksWrittenSince?(mark: number | undefined): {
    readonly mark: number;
    readonly ids: readonly TaskId[] | undefined;
  };
  /** The same for what is derived from all nodes. */
  nodesWrittenSince?(mark: number | undefined): {
    readonly mark: number;
    readonly ids: readonly NodeId[] | undefined;
  };
}

/** The reads that assignments need besides. */
export interface AssignView extends PlanView {
  readonly version: number;
}

/** Something the plan waits for that comes by itself. */
export interface Wait {
  /** Stable name of the rule that waits. */
  readonly code: WaitCode;
  /** What for, for people. */
  readonly message: string;
  /** Milliseconds since the epoch; undefined: nobody can tell. */
  readonly until?: number;
  /** The task that it is about; the service as a whole otherwise. */
  readonly taskId?: TaskId;
}

/** One that is over at a time which is known. */
export interface TimedWait extends Wait {
  readonly until: number;
}

export type WaitCode =
  | 'restart-delay'
  | 'predecessor'
  | 'update-delay'
  | 'update-monitor'
  | 'update-health'
  | 'progress-deadline'
  | 'rebalance-interval'
  | 'rebalance-budget'
  | 'rebalance-held'
  | 'rebalance-update'
  | 'standby-delay'
  | 'node-lost'
  | 'schedule'
  | 'mass-failure';

export interface Plan {
  readonly ops: readonly Change[];
  readonly because: readonly Reason[];
  /** What is waited for, soonest first. */
  readonly waits: readonly TimedWait[];
  /** Ask again after so many milliseconds, whatever happens. */
  readonly requeueAfterMs?: number;
}

export interface PlanContext {
  readonly now: number;
  /** Ids of new objects, made before planning so that the same inputs give the same plan. */
  readonly ids: Ids;
  /** Tasks that the plan makes or places at most; `PLAN_TASKS_MAX` unless fewer are asked for. */
  readonly tasksMax?: number;
}
