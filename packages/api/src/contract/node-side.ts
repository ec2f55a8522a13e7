/** Services between agents and managers. */
import type {
  AutoscalePolicy,
  LogChunk,
  NodeDescription,
  NodeId,
  NodeRole,
  ServiceId,
  TaskId,
  TaskStatus,
} from '@swarmd/model';

import type { AssignmentDelta } from '../assignment-delta.ts';
import type { Call } from './call.ts';

export interface TaskStatusUpdate {
  readonly taskId: TaskId;
  readonly status: TaskStatus;
}

/** What a task uses. */
export interface TaskUsage {
  readonly taskId: TaskId;
  /** Billionths of a CPU, on average since the measurement before. */
  readonly nanoCpus: number;
  readonly memoryBytes: number;
  /** Undefined when none was asked for, or the task did not answer. */
  readonly metric?: number;
}

export interface TaskMeasure {
  readonly taskId: TaskId;
  readonly metric?: NonNullable<AutoscalePolicy['metric']>;
}

export interface ManagerAddress {
  readonly nodeId: NodeId;
  /** host:port of the manager's cluster API. */
  readonly address: string;
}

export type AgentMessage =
  /** First message of a session. */
  | {
      readonly kind: 'hello';
      readonly description: NodeDescription;
      /** Underlay address (VTEP) that other nodes reach this node at. */
      readonly address: string;
      /** host:port of the agent's own listener. */
      readonly agentAddress: string;
    }
  | { readonly kind: 'heartbeat' }
  /** The node restarts on purpose; the manager ends the session once the others know. */
  | { readonly kind: 'goodbye' }
  /** Newest status of each named task; sent again until acknowledged. */
  | {
      readonly kind: 'statuses';
      readonly sequence: number;
      readonly updates: readonly TaskStatusUpdate[];
    }
  /** The network follows the assignments of this version: nothing new goes to tasks that left. */
  | { readonly kind: 'applied'; readonly version: number }
  /** Every few seconds while there is something to measure. */
  | { readonly kind: 'usage'; readonly tasks: readonly TaskUsage[] };

export type ManagerMessage =
  | { readonly kind: 'welcome'; readonly sessionId: string; readonly heartbeatPeriodMs: number }
  /** All managers an agent may connect to; sent after welcome and on change. */
  | { readonly kind: 'managers'; readonly managers: readonly ManagerAddress[] }
  /** What the node itself shall be; sent after welcome and on change. */
  | { readonly kind: 'node'; readonly role: NodeRole }
  /** What to measure from now on; not sent while there is nothing. */
  | { readonly kind: 'measures'; readonly tasks: readonly TaskMeasure[] }
  /** The first one is complete (`delta.full`), later ones build on it in order. */
  | {
      readonly kind: 'assignments';
      readonly delta: AssignmentDelta;
      /** Raft index of the state it was made from; the agent confirms it with `applied`. */
      readonly version: number;
    }
  /** Answer to a heartbeat: how an agent notices a manager that hangs. */
  | { readonly kind: 'heartbeat' }
  /** Everything up to `sequence` is committed, or was refused for good (unknown task). */
  | { readonly kind: 'status-ack'; readonly sequence: number };

/** swarm.v1.Dispatcher: one stream a node, to any manager. Role: worker or manager. */
export interface Dispatcher {
  session(messages: AsyncIterable<AgentMessage>, call: Call): AsyncIterable<ManagerMessage>;
}

export interface LogSelector {
  readonly serviceId?: ServiceId;
  readonly taskIds: readonly TaskId[];
}

export interface LogRequest {
  readonly follow: boolean;
  /** Lines from the end of each task's log; undefined for all. */
  readonly tail?: number | undefined;
  readonly sinceMs?: number | undefined;
  readonly untilMs?: number | undefined;
  /** Cursor of the last chunk that the asker has. For the log of one task. */
  readonly after?: string | undefined;
  readonly details?: boolean | undefined;
}

/** Lines of one task that follow each other in its log. */
export interface TaskLogChunk extends LogChunk {
  readonly taskId: TaskId;
  readonly nodeId: NodeId;
  readonly serviceId: ServiceId;
  /** What its log driver was told to add to its lines; only with `details`. */
  readonly attributes: Readonly<Record<string, string>>;
}

export interface LogSubscribeRequest {
  readonly selector: LogSelector;
  readonly options: LogRequest;
  /** By task: cursor of the last chunk that the asker has. */
  readonly after: Readonly<Record<string, string>>;
}

/** swarm.v1.Logs, on managers: logs of tasks wherever they run, in the order they arrive. */
export interface Logs {
  subscribe(request: LogSubscribeRequest, call: Call): AsyncIterable<TaskLogChunk>;
}

/** swarm.v1.Agent, on every node, for managers only. */
export interface AgentService {
  taskLogs(
    request: { taskId: TaskId; options: LogRequest },
    call: Call,
  ): AsyncIterable<TaskLogChunk>;
}
