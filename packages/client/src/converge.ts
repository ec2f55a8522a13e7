/**
 * Has a service become what its spec says? A pure judgement over what the control API shows, and a
 * wait around it.
 */
import { isDeepStrictEqual } from 'node:util';

import type { Call, Control } from '@swarmd/api';
import { sleep, SwarmError, unreachable, type Clock } from '@swarmd/base';
import {
  isGlobal,
  isJob,
  isTerminal,
  isWantedState,
  awaitsLimits,
  refusesLimits,
  wantedReplicas,
  type NodeId,
  type Service,
  type ServiceId,
  type Task,
  type TaskSpec,
} from '@swarmd/model';

import { wayOut } from './way-out.ts';

export interface SlotProgress {
  readonly slot: number;
  /** State of the newest task of the slot, e.g. "preparing"; "stopping" when it is to end. */
  readonly state: string;
  /** Why it cannot proceed, if so. */
  readonly error: string;
  /** What it is busy with, if it says so: "pulling 34 of 120 MB". */
  readonly doing?: string;
}

export interface Progress {
  /** What is waited for: tasks that run, or (of jobs) tasks that have completed. */
  readonly goal: 'running' | 'complete';
  /** Slots that have reached it. */
  readonly running: number;
  readonly wanted: number;
  readonly slots: readonly SlotProgress[];
  /** held: a canary step waits for somebody's word. refused: a node cannot give a container its new limits. */
  readonly verdict:
    'waiting' | 'converged' | 'held' | 'paused' | 'rolled-back' | 'failed' | 'refused';
  readonly message: string;
}

/**
 * True when a task is what the service asks for now. Not only a matter of versions: scaling or
 * relabelling a service writes a new spec, yet its tasks are still right. Placement is left to the
 * managers, who know which tasks it moves and say so by an update.
 */
export function isCurrent(service: Service, task: Task): boolean {
  if (service.jobStatus !== undefined) return task.jobIteration === service.jobStatus.iteration;
  if (task.specVersion === service.specVersion) return true;
  const essence = (spec: TaskSpec): object => ({ ...spec, placement: undefined });
  return isDeepStrictEqual(essence(task.spec), essence(service.spec.task));
}

/** Tasks that must end before the service is what it should be: of an older spec, or of no slot. */
function leftOvers(service: Service, tasks: readonly Task[]): Task[] {
  const { mode } = service.spec;
  const isSurplus = (task: Task): boolean =>
    mode.kind === 'replicated'
      ? task.slot > wantedReplicas(service)
      : isGlobal(mode) && !isWantedState(task.desiredState);
  return tasks.filter(
    (task) =>
      (isSurplus(task) || !isCurrent(service, task)) &&
      task.nodeId !== undefined &&
      !isTerminal(task.status.state),
  );
}

/**
 * Judges one moment of a service. Only tasks that fit the present spec count.
 * @param options.down Nodes that are down: what is left over there ends some day, which nobody waits
 * for.
 * @param options.desired Of global services and jobs: how many tasks there should be.
 */
export function judge(
  service: Service,
  tasks: readonly Task[],
  options: { down?: ReadonlySet<NodeId>; desired?: number } = {},
): Progress {
  const { mode } = service.spec;
  const current = Map.groupBy(
    tasks.filter((task) => isCurrent(service, task)),
    (task) => task.slot,
  );
  const wanted = wantedTasks(service, options.desired);
  const numbers = isGlobal(mode)
    ? [...current.keys()]
        .filter((slot) => current.get(slot)?.some(isAtWork))
        .toSorted((a, b) => a - b)
    : Array.from({ length: wanted }, (_, i) => i + 1);
  const slots = numbers.map((slot) => judgeSlot(slot, current.get(slot) ?? []));
  const goal = isJob(mode) ? 'complete' : 'running';
  const running = slots.filter((slot) => slot.state === goal).length;
  const update = service.updateStatus;
  const base = { goal, running, wanted, slots, message: update?.message ?? '' } as const;
  if (goal === 'complete') return { ...base, ...judgeJob(base, current) };
  const state = update?.state;
  switch (state) {
    case 'paused':
    case 'rollback-paused':
      return { ...base, verdict: 'paused' };
    case 'rollback-completed':
      return { ...base, message: whyRolledBack(service) ?? base.message, verdict: 'rolled-back' };
    case 'updating':
      return { ...base, verdict: waitsForApproval(service) ? 'held' : 'waiting' };
    case 'rollback-started':
      return { ...base, verdict: 'waiting' };
    case 'completed':
    case undefined: {
      const isStale = leftOvers(service, tasks).some(
        ({ nodeId }) => nodeId !== undefined && options.down?.has(nodeId) !== true,
      );
      const message = refusedLimits(slots);
      if (message !== undefined) return { ...base, message, verdict: 'refused' };
      return { ...base, verdict: running === wanted && !isStale ? 'converged' : 'waiting' };
    }
    default:
      return unreachable(state);
  }
}

/** What made the managers go back, where it was they who did. */
function whyRolledBack({ because }: Service): string | undefined {
  const last = because.findLast(
    ({ code }) => code === 'update-started' || code === 'update-failed',
  );
  return last?.code === 'update-failed' ? last.message : undefined;
}

function waitsForApproval({ updateStatus }: Service): boolean {
  const { waitsSince, until } = updateStatus?.canary ?? {};
  return waitsSince !== undefined && until === undefined;
}

function wantedTasks(service: Service, desired = 0): number {
  const { mode } = service.spec;
  if (mode.kind === 'replicated') return wantedReplicas(service);
  return mode.kind === 'replicated-job' ? mode.totalCompletions : desired;
}

/** It counts for its node: it is meant to be there, or has ended by itself. */
function isAtWork(task: Task): boolean {
  return isWantedState(task.desiredState) || task.status.state === 'failed';
}

/** A job fails when a slot of it was given up and nothing of it is on its way any more. */
function judgeJob(
  base: { running: number; wanted: number },
  current: ReadonlyMap<number, readonly Task[]>,
): Pick<Progress, 'verdict' | 'message'> {
  if (base.running === base.wanted) return { verdict: 'converged', message: '' };
  const slots = [...current.values()];
  const isMoving = slots.some((tasks) =>
    tasks.some((task) => isWantedState(task.desiredState) && task.status.state !== 'complete'),
  );
  const givenUp = slots
    .filter((tasks) => !tasks.some((task) => isWantedState(task.desiredState)))
    .map((tasks) => newest(tasks));
  const [first] = givenUp;
  if (isMoving || first === undefined) return { verdict: 'waiting', message: '' };
  const why = first.status.error || first.status.state;
  const name = `${first.serviceName}.${first.slot}`;
  return { verdict: 'failed', message: `task ${name} was given up: ${why}` };
}

/** It runs, and its node has not said yet that its container has the new limits. */
const CHANGING_LIMITS = 'changing limits';

/** The node's word why a container keeps the limits that it had. */
function refusedLimits(slots: readonly SlotProgress[]): string | undefined {
  const refused = slots.find(({ state, error }) => state === CHANGING_LIMITS && error !== '');
  return refused && `slot ${refused.slot}: ${refused.error}`;
}

/** @param tasks Those of the slot that fit the present spec. */
function judgeSlot(slot: number, tasks: readonly Task[]): SlotProgress {
  const active = newest(tasks.filter(({ desiredState }) => isWantedState(desiredState)));
  const shown = active ?? newest(tasks);
  const state = shown?.status.state ?? 'new';
  const isWell = state === 'running' || state === 'complete';
  if (isWell && active !== undefined && active.desiredState !== 'ready') {
    if (!awaitsLimits(active)) return { slot, state, error: '' };
    const error = refusesLimits(active) ? active.status.error : '';
    return { slot, state: CHANGING_LIMITS, error };
  }
  // A successor that has just begun has no error yet: the last one tells why it is needed.
  const failed = newest(tasks.filter((task) => task.status.error !== ''));
  const doing = state === 'preparing' ? (shown?.status.message ?? '') : '';
  return {
    slot,
    ...(doing.startsWith('pulling') ? { doing } : {}),
    state: state === 'running' ? 'stopping' : state,
    error: shown?.status.error || (failed?.status.error ?? ''),
  };
}

function newest(tasks: readonly Task[]): Task | undefined {
  return tasks.toSorted((a, b) => b.meta.createdAt - a.meta.createdAt || (a.id < b.id ? 1 : -1))[0];
}

const POLL_MS = 100;

/**
 * Waits until the service is what it should be, or its update waits for somebody's word; tells every
 * change on the way.
 * @returns how it stands then: `converged` or `held`, where a rollback was wanted also `rolled-back`.
 * @throws SwarmError `failed-precondition` when an update paused or was rolled back, or limits were refused, `not-found` when the
 * service is removed meanwhile, the reason of `call.signal`, or what a call of the API throws.
 */
export async function waitForConvergence(
  options: {
    control: Control;
    clock: Clock;
    serviceId: ServiceId;
    onProgress: (progress: Progress) => void;
    wantRollback?: boolean;
  },
  call: Call,
): Promise<Progress> {
  const { control, clock, serviceId } = options;
  let shown = '';
  for (;;) {
    const { service, progress } = await look(control, serviceId, call);
    const text = JSON.stringify(progress);
    if (text !== shown) options.onProgress(progress);
    shown = text;
    if (progress.verdict === 'converged' || progress.verdict === 'held') return progress;
    if (progress.verdict === 'failed') {
      throw new SwarmError(
        'failed-precondition',
        `the job cannot complete: ${progress.message} (see swarmctl service ps ${service.spec.name}; run it again with service update --force)`,
      );
    }
    if (progress.verdict === 'refused') {
      throw new SwarmError(
        'failed-precondition',
        `the new limits are not in force everywhere: ${progress.message} (it is tried again every 30 s: see swarmctl service ps ${service.spec.name}; or set others with service update, or restart the tasks with --force)`,
      );
    }
    if (progress.verdict === 'rolled-back') {
      if (options.wantRollback === true) return progress;
      throw new SwarmError(
        'failed-precondition',
        `the update was rolled back: ${progress.message} (see swarmctl service ps ${service.spec.name}, and explain service ${service.spec.name})`,
      );
    }
    if (progress.verdict === 'paused') {
      throw new SwarmError(
        'failed-precondition',
        `the ${service.updateStatus?.state === 'rollback-paused' ? 'rollback' : 'update'} is paused: ${progress.message} (see swarmctl explain service ${service.spec.name}; ${wayOut(service)})`,
      );
    }
    await sleep(clock, POLL_MS, call.signal);
  }
}

/** How many nodes suit is for the managers to say. */
async function desiredTasks(control: Control, id: ServiceId, call: Call): Promise<number> {
  const [counts] = await control.listServiceCounts({ serviceIds: [id] }, call);
  return counts?.desired ?? 0;
}

async function look(
  control: Control,
  serviceId: ServiceId,
  call: Call,
): Promise<{ service: Service; progress: Progress }> {
  const [service, tasks] = await Promise.all([
    control.getService({ id: serviceId }, call),
    control.listTasks({ filter: { serviceIds: [serviceId] } }, call),
  ]);
  const desired = isGlobal(service.spec.mode) ? await desiredTasks(control, serviceId, call) : 0;
  const progress = judge(service, tasks, { desired });
  if (progress.verdict !== 'waiting' || progress.running < progress.wanted) {
    return { service, progress };
  }
  // Only what is left over can be missing; it may be on nodes that are down.
  const ids = [...new Set(leftOvers(service, tasks).flatMap((task) => task.nodeId ?? []))];
  if (ids.length === 0) return { service, progress };
  const nodes = await control.listNodes({ filter: { ids } }, call);
  const down = nodes.filter((node) => node.status.state === 'down').map((node) => node.id);
  return { service, progress: judge(service, tasks, { down: new Set(down), desired }) };
}
