/**
 * The states of a task. A task is one-shot: its observed state never goes back, its desired state
 * never goes down, it never changes node. Every restart is a new task in the same slot.
 * Numbers (also on the wire) leave gaps so that states can be added between.
 */
export const TASK_STATES = {
  new: 0,
  pending: 64,
  assigned: 192,
  accepted: 256,
  preparing: 320,
  ready: 384,
  starting: 448,
  running: 512,
  complete: 576,
  shutdown: 640,
  failed: 704,
  rejected: 768,
  /** Desired only: the task is to be stopped and forgotten. */
  remove: 800,
  orphaned: 832,
} as const;

export type TaskState = keyof typeof TASK_STATES;
/** What managers may want of a task. */
export type DesiredState = 'ready' | 'running' | 'complete' | 'shutdown' | 'remove';

/** Slot of tasks that are prepared besides the replicas, until they take over a slot. */
export const STANDBY_SLOT = 0;

/** The order of states in time. */
export function rank(state: TaskState): number {
  return TASK_STATES[state];
}

/** True while a task is meant to run, now or soon, as opposed to being told to stop. */
export function isWantedState(desired: DesiredState): boolean {
  return desired === 'ready' || desired === 'running' || desired === 'complete';
}

/** True for states in which nothing of the task runs any more and nothing will. */
export function isTerminal(state: TaskState): boolean {
  return rank(state) > TASK_STATES.running;
}

/** Has it no node, and wants one? Then what the nodes say to it explains why it does not run. */
export function waitsForNode(task: {
  readonly nodeId?: string | undefined;
  readonly desiredState: DesiredState;
  readonly status: { readonly state: TaskState };
}): boolean {
  return (
    task.nodeId === undefined && !isTerminal(task.status.state) && isWantedState(task.desiredState)
  );
}

/** It was given other limits, and its node has not said yet that the container has them. */
export function awaitsLimits(task: {
  readonly limitsChanged?: number;
  readonly status: { readonly state: TaskState; readonly limitsApplied?: number };
}): boolean {
  const { limitsChanged = 0, status } = task;
  return !isTerminal(status.state) && limitsChanged > (status.limitsApplied ?? 0);
}

/** Its node has said of the present limits that the container cannot have them; the status's error says why. */
export function refusesLimits(task: {
  readonly limitsChanged?: number;
  readonly status: { readonly limitsRefused?: number };
}): boolean {
  return task.limitsChanged !== undefined && task.status.limitsRefused === task.limitsChanged;
}
