/**
 * How many replicas an autoscaled service shall have, from what its tasks use. More are wanted for what
 * the warm tasks use; fewer only when every task is running and measured, so that what is not known
 * never takes a replica away. Both must be wanted without a break for their window: since when is
 * stored with the service, so that whoever leads next goes on.
 */
import {
  wantedReplicas,
  type AutoscalePolicy,
  type AutoscaleStatus,
  type Service,
  type ServiceId,
  type Task,
  type TaskId,
} from '@swarmd/model';

import { USAGE_FRESH_MS } from '../limits.ts';
import { NodeLookup } from '../node-lookup.ts';
import { reason, remember } from '../reasons.ts';
import { isWanted } from '../task-view.ts';
import type { Plan, PlanView } from '../types.ts';
import { isHalfway } from './update-state.ts';

/** What a task uses, as its node measured it. */
export interface TaskUsage {
  readonly taskId: TaskId;
  /** On average since the measurement before. */
  readonly nanoCpus: number;
  readonly memoryBytes: number;
  /** Of the policy's metric, if it has one and the task answered. */
  readonly metric?: number;
}

export interface Measured extends TaskUsage {
  /** When the leader heard of it, milliseconds since the epoch. */
  readonly at: number;
}

/** A target, and how much of it a task uses. */
interface Criterion {
  /** e.g. "cpu 70%". */
  readonly name: string;
  /** 1: just what is wanted of one task; undefined: not measured. */
  readonly shareOf: (task: Task, usage: Measured) => number | undefined;
}

/** The plan writes the service at most; its own plan then follows. */
export function planAutoscale(
  view: PlanView,
  id: ServiceId,
  context: { now: number; usage: (task: TaskId) => Measured | undefined },
): Plan {
  const service = view.get('service', id);
  const policy = service?.spec.autoscale;
  if (service?.autoscale === undefined || policy === undefined) {
    return { ops: [], because: [], waits: [] };
  }
  const tasks = [...view.tasksByService(id)].filter(
    (task) => isWanted(task) && task.desiredState === 'running',
  );
  const nodes = new NodeLookup(view, context.now);
  const demand = demandOf(service, policy, { tasks, nodes, ...context });
  const { next, step } = nextStatus(service, policy, { demand, now: context.now });
  if (sameStatus(service.autoscale, next)) return { ops: [], because: [], waits: [] };
  const why = step === undefined ? [] : [reason('autoscaled', step, { at: context.now })];
  const because = why.reduce((known, one) => remember(known, one), service.because);
  const object: Service = { ...service, autoscale: next, because };
  return { ops: [{ kind: 'put', table: 'service', object }], because: why, waits: [] };
}

/** What the tasks ask for, within the bounds, or why nothing can be said. */
type Demand =
  | { readonly kind: 'unknown'; readonly message: string }
  | {
      readonly kind: 'known';
      readonly replicas: number;
      /** What asked for it, in words. */
      readonly because: string;
      /** Fewer would do as far as is known, but not everything is. */
      readonly message: string;
    };

function demandOf(
  service: Service,
  policy: AutoscalePolicy,
  around: {
    tasks: readonly Task[];
    nodes: NodeLookup;
    now: number;
    usage: (task: TaskId) => Measured | undefined;
  },
): Demand {
  const { tasks, nodes } = around;
  if (isHalfway(service, tasks, nodes))
    return { kind: 'unknown', message: 'an update is under way or paused' };
  const { now } = around;
  const current = wantedReplicas(service);
  const fresh = new Map<TaskId, Measured>();
  for (const { id } of tasks) {
    const usage = around.usage(id);
    if (usage !== undefined && now - usage.at <= USAGE_FRESH_MS) fresh.set(id, usage);
  }
  if (fresh.size === 0) return { kind: 'unknown', message: 'no task of it is measured' };
  const wishes = criteriaOf(policy).map((criterion) =>
    wishOf(criterion, policy, { tasks, current, fresh, now }),
  );
  const [highest] = wishes.toSorted((a, b) => b.replicas - a.replicas);
  const replicas = Math.min(policy.max, Math.max(policy.min, highest?.replicas ?? current));
  const blind = wishes.find(({ message }) => message !== '');
  return {
    kind: 'known',
    replicas,
    because: highest?.because ?? '',
    message: replicas === current ? (blind?.message ?? beyond(policy, highest)) : '',
  };
}

/** Use stays above the target, and nothing is done about it. */
function beyond({ max }: AutoscalePolicy, highest: Wish | undefined): string {
  if (highest === undefined || highest.replicas <= max) return '';
  return `more would be wanted than ${max}, the most that the policy allows (--autoscale-max)`;
}

interface Wish {
  readonly replicas: number;
  readonly because: string;
  readonly message: string;
}

function wishOf(
  criterion: Criterion,
  policy: AutoscalePolicy,
  around: {
    tasks: readonly Task[];
    current: number;
    fresh: ReadonlyMap<TaskId, Measured>;
    now: number;
  },
): Wish {
  const { tasks, current, fresh, now } = around;
  let total = 0;
  let warm = 0;
  let known = 0;
  for (const task of tasks) {
    const usage = fresh.get(task.id);
    const share = usage === undefined ? undefined : criterion.shareOf(task, usage);
    if (share === undefined || task.status.state !== 'running') continue;
    known += 1;
    total += share;
    if (now - (task.startedAt ?? now) >= policy.warmupMs) warm += share;
  }
  const said = (share: number): string =>
    `${known === 1 ? 'its task uses' : `${known} tasks use`} ${Math.round((share / Math.max(1, known)) * 100)}% of the target (${criterion.name})`;
  if (warm > current * (1 + policy.tolerance)) {
    return { replicas: Math.ceil(warm), because: said(warm), message: '' };
  }
  if (known < Math.max(current, tasks.length)) {
    const message = `of ${current} replicas ${known} run and are measured (${criterion.name})`;
    return { replicas: current, because: said(total), message };
  }
  if (total < current * (1 - policy.tolerance)) {
    return { replicas: Math.ceil(total), because: said(total), message: '' };
  }
  return { replicas: current, because: said(total), message: '' };
}

function criteriaOf({ cpuPercent, memoryPercent, metric }: AutoscalePolicy): Criterion[] {
  const criteria: Criterion[] = [];
  if (cpuPercent !== undefined) {
    criteria.push({
      name: `cpu ${cpuPercent}%`,
      shareOf: ({ spec: { reservations, limits } }, { nanoCpus }) =>
        ratio(nanoCpus, ((reservations.nanoCpus || limits.nanoCpus) * cpuPercent) / 100),
    });
  }
  if (memoryPercent !== undefined) {
    criteria.push({
      name: `memory ${memoryPercent}%`,
      shareOf: ({ spec: { reservations, limits } }, { memoryBytes }) =>
        ratio(
          memoryBytes,
          ((reservations.memoryBytes || limits.memoryBytes) * memoryPercent) / 100,
        ),
    });
  }
  if (metric !== undefined) {
    criteria.push({
      name: `${metric.name} ${metric.target}`,
      shareOf: (_task, usage) =>
        usage.metric === undefined ? undefined : ratio(Math.max(0, usage.metric), metric.target),
    });
  }
  return criteria;
}

/** Undefined for a task of an older spec that reserves nothing and has no limit. */
function ratio(value: number, target: number): number | undefined {
  return target > 0 && Number.isFinite(value) ? value / target : undefined;
}

function nextStatus(
  service: Service,
  policy: AutoscalePolicy,
  { demand, now }: { demand: Demand; now: number },
): { next: AutoscaleStatus; step?: string } {
  const current = wantedReplicas(service);
  const status = service.autoscale ?? { replicas: current, changedAt: now, message: '' };
  const { changedAt } = status;
  const settled = { replicas: current, changedAt };
  if (demand.kind === 'unknown') return { next: { ...settled, message: demand.message } };
  const { replicas: wanted } = demand;
  if (wanted === current) return { next: { ...settled, message: demand.message } };
  const isUp = wanted > current;
  const before = status.pressure;
  const goesOn = before !== undefined && before.replicas > current === isUp;
  const pressure = {
    since: goesOn ? before.since : now,
    replicas: goesOn ? least(before.replicas, wanted, isUp) : wanted,
  };
  const windowMs = isUp ? policy.upWindowMs : policy.downWindowMs;
  const dueAt = Math.max(pressure.since + windowMs, changedAt + policy.intervalMs);
  const message = `${isUp ? 'more' : 'fewer'} replicas are wanted, and time has to pass before`;
  if (now < dueAt) {
    return { next: { ...settled, pressure, message } };
  }
  const replicas = isUp
    ? Math.min(pressure.replicas, current + policy.stepUp)
    : Math.max(pressure.replicas, current - policy.stepDown);
  const isThere = replicas === pressure.replicas;
  return {
    next: {
      replicas,
      changedAt: now,
      ...(isThere ? {} : { pressure }),
      message: isThere ? '' : message,
    },
    step: `from ${current} to ${replicas} replicas: ${demand.because}`,
  };
}

/** The smaller change of the two. */
function least(a: number, b: number, isUp: boolean): number {
  return isUp ? Math.min(a, b) : Math.max(a, b);
}

function sameStatus(a: AutoscaleStatus, b: AutoscaleStatus): boolean {
  return (
    a.replicas === b.replicas &&
    a.changedAt === b.changedAt &&
    a.message === b.message &&
    a.pressure?.since === b.pressure?.since &&
    a.pressure?.replicas === b.pressure?.replicas
  );
}
