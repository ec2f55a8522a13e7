/**
 * The vocabulary of a task's life on its node: what is known of it, what can be observed, and what
 * can be done. `step.ts` decides; `runner.ts` does.
 */
import type {
  DesiredState,
  HealthcheckSpec,
  ResourceLimits,
  Task,
  TaskStatus,
} from '@swarmd/model';

import type { ContainerExit, ContainerPhase } from '../ports.ts';

/**
 * What exists on this machine, or is under way.
 * idle: nothing was made yet. waiting: preparing failed for now, a retry is due. cancelling: the
 * preparation was told to give up. ended: nothing runs, the container is kept for its logs.
 * clean: nothing is left and nothing will be made.
 */
export type Phase =
  | 'idle'
  | 'preparing'
  | 'waiting'
  | 'cancelling'
  | 'ready'
  | 'starting'
  | 'running'
  | 'stopping'
  | 'ended'
  | 'removing'
  | 'clean';

/** What the managers want; `gone`: the task is not assigned to this node any more. */
export type Wish = DesiredState | 'gone';

/** Of the container. */
export interface KnownLimits {
  /** Undefined: of an earlier life of the agent, nobody knows. */
  readonly applied?: ResourceLimits | undefined;
  /** Refused, and not to be tried again for now. */
  readonly refused?: ResourceLimits | undefined;
  /** They are being changed. */
  readonly busy: boolean;
  /** The container is of an earlier life of the agent. */
  readonly adopted?: boolean;
}

export interface TaskLife {
  readonly task: Task;
  readonly wish: Wish;
  readonly phase: Phase;
  readonly status: TaskStatus;
  /** Preparations that failed for a reason that may pass. */
  readonly attempts: number;
  /** Why this node itself ends the container (unhealthy); empty when the managers want it. */
  readonly stopReason: string;
  /** Of the container that exists: then RUNNING waits until it is healthy. */
  readonly healthcheck?: HealthcheckSpec;
  readonly limits: KnownLimits;
}

export type Observation =
  /** First or changed wish of the managers. */
  | { readonly kind: 'wanted'; readonly task: Task }
  | { readonly kind: 'unassigned' }
  /** What was found of the task when the agent started. */
  | {
      readonly kind: 'found';
      readonly container: ContainerPhase | 'absent';
      readonly healthcheck?: HealthcheckSpec;
    }
  /** How far the image is, while preparing. */
  | { readonly kind: 'pulling'; readonly message: string }
  | { readonly kind: 'prepared'; readonly healthcheck?: HealthcheckSpec }
  | { readonly kind: 'prepare-failed'; readonly error: string; readonly temporary: boolean }
  | { readonly kind: 'started'; readonly pid: number }
  | { readonly kind: 'start-failed'; readonly error: string }
  | { readonly kind: 'healthy' }
  | { readonly kind: 'unhealthy'; readonly error: string }
  | { readonly kind: 'exited'; readonly exit: ContainerExit }
  | { readonly kind: 'limited'; readonly limits: ResourceLimits }
  | { readonly kind: 'limit-failed'; readonly limits: ResourceLimits; readonly error: string }
  | { readonly kind: 'stop-failed'; readonly error: string }
  | { readonly kind: 'removed' }
  | { readonly kind: 'remove-failed'; readonly error: string }
  | { readonly kind: 'retry-due' };

export type Effect =
  /** Network and image, then the container; answers prepared or prepare-failed. */
  | { readonly kind: 'prepare'; readonly limits: ResourceLimits }
  /** Makes the running preparation give up; it still answers. */
  | { readonly kind: 'cancel' }
  /** Answers started or start-failed. */
  | { readonly kind: 'start' }
  /** Answers exited, sooner or later. */
  | { readonly kind: 'watch' }
  /** Makes the network plane of a restarted agent know a container that already runs. */
  | { readonly kind: 'reattach' }
  /** Answers healthy once, unhealthy at most once; ends with the container. */
  | {
      readonly kind: 'check-health';
      readonly check: HealthcheckSpec;
      /** It was found healthy in an earlier life of the agent: no start is excused any more. */
      readonly wasHealthy: boolean;
    }
  /** Changes the limits of the running container; answers limited or limit-failed. */
  | { readonly kind: 'limit'; readonly limits: ResourceLimits }
  /** Answers stop-failed; success shows as exited. */
  | { readonly kind: 'stop'; readonly graceMs: number }
  /** Gives the network of an ended container back. */
  | { readonly kind: 'detach' }
  /** Removes container and network; answers removed or remove-failed. */
  | { readonly kind: 'remove' }
  /** Answers retry-due. */
  | { readonly kind: 'retry'; readonly afterMs: number }
  /** Nothing is left and nobody wants it: the runner ends. */
  | { readonly kind: 'forget' };

export interface Step {
  readonly life: TaskLife;
  readonly effects: readonly Effect[];
}

/** A task that has just been assigned, before anything was done. */
export function newLife(task: Task, status: TaskStatus = task.status): TaskLife {
  return {
    task,
    wish: task.desiredState,
    phase: 'idle',
    status,
    attempts: 0,
    stopReason: '',
    limits: { busy: false },
  };
}
