/** What a write would do, as a dry run tells it. */
import type { NodeId, TaskId } from './ids.ts';

export interface FieldChange {
  /** As in the JSON of the spec: "task.container.image". */
  readonly path: string;
  /** As JSON; undefined: the field was not there. */
  readonly before?: string;
  /** As JSON; undefined: the field is not there any more. */
  readonly after?: string;
}

export interface PlannedTask {
  /** `move` and `replace`: another task takes over, on another node or the same. */
  readonly action: 'start' | 'stop' | 'move' | 'replace' | 'wait';
  readonly serviceName: string;
  readonly slot: number;
  /** The task that stops. */
  readonly taskId?: TaskId;
  readonly fromNodeId?: NodeId;
  readonly toNodeId?: NodeId;
  readonly message: string;
}
