/**
 * Has a service become what its spec says? A pure judgement over what the control API shows, and a
 * wait around it.
 */
import { isDeepStrictEqual } from 'node:util';

import type { Call, Control } from '@swarmd/api';
import { sleep, SwarmError, unreachable, type Clock } from '@swarmd/base';
import {
  isTerminal,
  type NodeId,
  type Service,
  type ServiceId,
  type Task,
  type TaskSpec,
} from '@swarmd/model';

export interface SlotProgress {
  readonly slot: number;
  /** State of the newest task of the slot, e.g. "preparing"; "stopping" when it is to end. */
  readonly state: string;
  /** Why it cannot proceed, if so. */
  readonly error: string;
}

export interface Progress {
  readonly running: number;
  readonly wanted: number;
  readonly slots: readonly SlotProgress[];
  readonly verdict: 'waiting' | 'converged' | 'paused' | 'rolled-back';
  readonly message: string;
}

/**
 * True when a task is what the service asks for now. Not only a matter of versions: scaling or
 * relabelling a service writes a new spec, yet its tasks are still right. Placement is left to the
 * managers, who know which tasks it moves and say so by an update.
 */
function isCurrent(service: Service, task: Task): boolean {
  if (task.specVersion === service.specVersion) return true;
  const essence = (spec: TaskSpec): object => ({ ...spec, placement: undefined });
  return isDeepStrictEqual(essence(task.spec), essence(service.spec.task));
}

/** Tasks that must end before the service is what it should be: of an older spec, or of no slot. */
function leftOvers(service: Service, tasks: readonly Task[]): Task[] {
  return tasks.filter(
    (task) =>
      (task.slot > service.spec.mode.replicas || !isCurrent(service, task)) &&
      task.nodeId !== undefined &&
      !isTerminal(task.status.state),
  );
}

/**
 * Judges one moment of a service. Only tasks that fit the present spec count.
 * @param down Nodes that are down: what is left over there ends some day, which nobody waits for.
 */
export function judge(
  service: Service,
  tasks: readonly Task[],
  down: ReadonlySet<NodeId> = new Set(),
): Progress {
  const wanted = service.spec.mode.replicas;
  const current = Map.groupBy(
    tasks.filter((task) => isCurrent(service, task)),
    (task) => task.slot,
  );
  const slots = Array.from({ length: wanted }, (_, i) =>
    judgeSlot(i + 1, current.get(i + 1) ?? []),
  );
  const running = slots.filter((slot) => slot.state === 'running').length;
  const update = service.updateStatus;
  const base = { running, wanted, slots, message: update?.message ?? '' };
  const state = update?.state;
  switch (state) {
    case 'paused':
    case 'rollback-paused':
      return { ...base, verdict: 'paused' };
    case 'rollback-completed':
      return { ...base, verdict: 'rolled-back' };
    case 'updating':
    case 'rollback-started':
      return { ...base, verdict: 'waiting' };
    case 'completed':
    case undefined: {
      const isStale = leftOvers(service, tasks).some(
        ({ nodeId }) => nodeId !== undefined && !down.has(nodeId),
      );
      return { ...base, verdict: running === wanted && !isStale ? 'converged' : 'waiting' };
    }
    default:
      return unreachable(state);
  }
}

/** @param tasks Those of the slot that fit the present spec. */
function judgeSlot(slot: number, tasks: readonly Task[]): SlotProgress {
  const active = newest(
    tasks.filter(({ desiredState }) => desiredState === 'running' || desiredState === 'ready'),
  );
  const shown = active ?? newest(tasks);
  const state = shown?.status.state ?? 'new';
  if (state === 'running' && active?.desiredState === 'running') return { slot, state, error: '' };
  // A successor that has just begun has no error yet: the last one tells why it is needed.
  const failed = newest(tasks.filter((task) => task.status.error !== ''));
  return {
    slot,
    state: state === 'running' ? 'stopping' : state,
    error: shown?.status.error || (failed?.status.error ?? ''),
  };
}

function newest(tasks: readonly Task[]): Task | undefined {
  return tasks.toSorted((a, b) => b.meta.createdAt - a.meta.createdAt || (a.id < b.id ? 1 : -1))[0];
}

const POLL_MS = 100;

/**
 * Waits until the service is what it should be, telling every change on the way.
 * @throws SwarmError `failed-precondition` when an update paused or was rolled back, `not-found` when the
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
): Promise<void> {
  const { control, clock, serviceId } = options;
  let shown = '';
  for (;;) {
    const { service, progress } = await look(control, serviceId, call);
    const text = JSON.stringify(progress);
    if (text !== shown) options.onProgress(progress);
    shown = text;
    if (progress.verdict === 'converged') return;
    if (progress.verdict === 'rolled-back') {
      if (options.wantRollback === true) return;
      throw new SwarmError(
        'failed-precondition',
        `the update was rolled back: ${progress.message}`,
      );
    }
    if (progress.verdict === 'paused') {
      throw new SwarmError(
        'failed-precondition',
        `the update is paused: ${progress.message} (see swarmctl service ps ${service.spec.name}; mend it with service update, or go back with service rollback)`,
      );
    }
    await sleep(clock, POLL_MS, call.signal);
  }
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
  const progress = judge(service, tasks);
  if (progress.verdict !== 'waiting' || progress.running < progress.wanted) {
    return { service, progress };
  }
  // Only what is left over can be missing; it may be on nodes that are down.
  const ids = [...new Set(leftOvers(service, tasks).flatMap((task) => task.nodeId ?? []))];
  if (ids.length === 0) return { service, progress };
  const nodes = await control.listNodes({ filter: { ids } }, call);
  const down = nodes.filter((node) => node.status.state === 'down').map((node) => node.id);
  return { service, progress: judge(service, tasks, new Set(down)) };
}
