/** The promises about standbys, rebalancing, autoscaling and schedules, as questions about one write. */
import { STANDBY_SLOT, type JobRun, type Service, type Task } from '@swarmd/model';

import { isOver, isWanted } from './rules.ts';

/** A standby neither runs nor begins to. */
export function badStandby({ id, slot, status }: Task): string | undefined {
  if (slot !== STANDBY_SLOT) return undefined;
  if (status.state !== 'starting' && status.state !== 'running') return undefined;
  return `standby ${id} is ${status.state} and has no slot`;
}

/** One that is made is needed. */
export function surplusStandby({ spec }: Service, tasks: readonly Task[]): string | undefined {
  const alive = tasks.filter((one) => one.slot === STANDBY_SLOT && isWanted(one) && !isOver(one));
  if (alive.length <= spec.standby) return undefined;
  return `service ${spec.name} has ${alive.length} standbys, ${spec.standby} are wanted`;
}

/**
 * A move that rebalancing began: is it within the budget and the update's parallelism, not too soon
 * after the last one, and not in the middle of an update? One counts until its old task has stopped.
 * `skewMs`: how clocks of leaders may differ; `isHeardOf`: whether a task's node is.
 */
export function badMove(
  service: Service,
  tasks: readonly Task[],
  { moved, skewMs, isHeardOf }: { moved: Task; skewMs: number; isHeardOf: (task: Task) => boolean },
): string | undefined {
  const { name, rebalance, update, mode } = service.spec;
  const refuse = (why: string): string => `service ${name} moves task ${moved.id}: ${why}`;
  if (mode.kind !== 'replicated') return refuse(`it is ${mode.kind}`);
  const { budget = 0, intervalMs = 0 } = rebalance;
  const most = Math.min(budget, update.parallelism === 0 ? Infinity : update.parallelism);
  const isMove = (task: Task): boolean => task.because[0]?.code === 'rebalanced';
  const moves = tasks.filter(isMove);
  const stopping = tasks.filter((task) => !isWanted(task) && !isOver(task) && isHeardOf(task));
  const leaving = new Set(stopping.map(({ slot }) => slot));
  const underWay = moves.filter(
    (task) =>
      isWanted(task) &&
      !isOver(task) &&
      (task.status.state !== 'running' || leaving.has(task.slot)),
  );
  const slots = new Set(underWay.map(({ slot }) => slot));
  if (slots.size > most) return refuse(`${slots.size} are on the move, ${most} may be`);
  const early = moves.find(
    (task) =>
      task.id !== moved.id &&
      moved.meta.createdAt - task.meta.createdAt < intervalMs - skewMs &&
      task.meta.createdAt <= moved.meta.createdAt,
  );
  if (early !== undefined) return refuse(`${early.id} moved less than ${intervalMs} ms before`);
  return undefined;
}

/** Steps of autoscaling: in the bounds, not too many at a time, not too soon, wanted for long enough. */
export function badScaling(
  before: Service,
  after: Service,
  { now, skewMs }: { now: number; skewMs: number },
): string | undefined {
  const policy = after.spec.autoscale;
  const [was, is] = [before.autoscale, after.autoscale];
  const isNew = before.specVersion !== after.specVersion;
  if (policy === undefined || was === undefined || is === undefined || isNew) return undefined;
  if (was.replicas === is.replicas) return undefined;
  const change = `service ${after.spec.name} is scaled from ${was.replicas} to ${is.replicas}`;
  if (is.replicas < policy.min || is.replicas > policy.max) {
    return `${change}, beyond ${policy.min} to ${policy.max}`;
  }
  // What is out of bounds, as these have changed, comes back in one step.
  const from = Math.min(policy.max, Math.max(policy.min, was.replicas));
  if (is.replicas === from) return undefined;
  const isUp = is.replicas > from;
  const most = isUp ? policy.stepUp : policy.stepDown;
  if (Math.abs(is.replicas - from) > most) return `${change}, in steps of ${most}`;
  if (now + skewMs < was.changedAt + policy.intervalMs) {
    return `${change}, ${now - was.changedAt} ms after the last step`;
  }
  const windowMs = isUp ? policy.upWindowMs : policy.downWindowMs;
  if (windowMs > skewMs && now + skewMs < (was.pressure?.since ?? Infinity) + windowMs) {
    return `${change}, and that was not wanted for ${windowMs} ms`;
  }
  return undefined;
}

/** Runs of a schedule: each time once, no more at a time than its concurrency says, no more kept. */
export function badRuns(before: Service | undefined, after: Service): string | undefined {
  const { schedule, name } = after.spec;
  const runs = after.jobStatus?.runs;
  if (schedule === undefined || runs === undefined) return undefined;
  const active = count(runs, 'active');
  const known = count(before?.jobStatus?.runs ?? [], 'active');
  if (schedule.concurrency !== 'allow' && active > 1 && active > known) {
    return `job ${name} has ${active} runs at a time: ${schedule.concurrency}`;
  }
  const planned = runs.flatMap(({ plannedFor, state }) =>
    plannedFor === undefined || state === 'skipped' ? [] : [plannedFor],
  );
  if (new Set(planned).size < planned.length) return `job ${name} ran twice for one time`;
  const times = schedule.suspended && before?.specVersion === after.specVersion;
  const began = runs.at(-1);
  const isOwn = began?.plannedFor !== undefined && began.state === 'active';
  if (times && isOwn && (before?.jobStatus?.iteration ?? 0) < began.iteration) {
    return `job ${name} ran by its schedule, which is suspended`;
  }
  return undefined;
}

function count(runs: readonly JobRun[], state: JobRun['state']): number {
  return runs.filter((run) => run.state === state).length;
}
