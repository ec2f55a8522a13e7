/**
 * Has a service become what its spec says? A pure judgement over what the control API shows, and a
 * wait around it.
 */
import type { Call, Control } from '@swarmd/api';
import { sleep, SwarmError, type Clock } from '@swarmd/base';
import { isTerminal, type Service, type ServiceId, type Task, type TaskSpec } from '@swarmd/model';

export interface SlotProgress {
  readonly slot: number;
  /** State of the newest task of the slot that is meant to run, e.g. "preparing". */
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
 * True when a task is what the service asks for now. Not a matter of versions: scaling or relabelling a
 * service writes a new spec, yet its tasks are still right. Placement alone moves nothing either.
 */
function isCurrent(service: Service, task: Task): boolean {
  const essence = (spec: TaskSpec): string => JSON.stringify({ ...spec, placement: undefined });
  return essence(task.spec) === essence(service.spec.task);
}

/** Judges one moment of a service. Only tasks that fit the present spec count. */
export function judge(service: Service, tasks: readonly Task[]): Progress {
  const wanted = service.spec.mode.replicas;
  const current = tasks.filter((task) => isCurrent(service, task));
  const slots: SlotProgress[] = [];
  let running = 0;
  let stale = 0;
  for (let slot = 1; slot <= wanted; slot += 1) {
    const meant = current.filter((task) => task.slot === slot);
    const active = newest(
      meant.filter((task) => task.desiredState === 'running' || task.desiredState === 'ready'),
    );
    const shown = active ?? newest(meant);
    if (active?.status.state === 'running' && active.desiredState === 'running') running += 1;
    slots.push({
      slot,
      state: shown?.status.state ?? 'new',
      error:
        shown?.status.error ??
        newest(meant.filter((task) => task.status.error !== ''))?.status.error ??
        '',
    });
  }
  for (const task of tasks) {
    const leftOver = task.slot > wanted || !current.includes(task);
    if (leftOver && !isTerminal(task.status.state) && task.nodeId !== undefined) stale += 1;
  }
  const update = service.updateStatus;
  const base = { running, wanted, slots };
  if (update?.state === 'paused' || update?.state === 'rollback-paused') {
    return { ...base, verdict: 'paused', message: update.message };
  }
  if (update?.state === 'rollback-completed')
    return { ...base, verdict: 'rolled-back', message: update.message };
  const moving = update?.state === 'updating' || update?.state === 'rollback-started';
  const done = running === wanted && stale === 0 && !moving;
  return { ...base, verdict: done ? 'converged' : 'waiting', message: update?.message ?? '' };
}

function newest(tasks: readonly Task[]): Task | undefined {
  return tasks.toSorted((a, b) => b.meta.createdAt - a.meta.createdAt || (a.id < b.id ? 1 : -1))[0];
}

const POLL_MS = 100;

/**
 * Waits until the service is what it should be, telling every change on the way.
 * @throws SwarmError `failed-precondition` when an update paused or was rolled back, `deadline-exceeded`,
 * `cancelled`, or `not-found` when the service is removed meanwhile.
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
    const [service, tasks] = await Promise.all([
      control.getService({ id: serviceId }, call),
      control.listTasks({ filter: { serviceIds: [serviceId] } }, call),
    ]);
    const progress = judge(service, tasks);
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
