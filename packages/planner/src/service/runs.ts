/** The runs of a scheduled job as values: which may start, which are kept. */
import type { JobRun, JobSchedule, JobStatus, Service } from '@swarmd/model';

import { RUNS_ACTIVE_MAX, RUNS_SKIPPED_KEPT } from '../limits.ts';

export function activeRuns({ runs }: Pick<JobStatus, 'runs'>): JobRun[] {
  return runs.filter(({ state }) => state === 'active');
}

/** Why a run may not start beside those under way; undefined: it may. */
export function runRefusal(status: JobStatus, { concurrency }: JobSchedule): string | undefined {
  const active = activeRuns(status);
  const [first] = active;
  if (first === undefined || concurrency === 'replace') return undefined;
  if (concurrency === 'forbid') {
    return `run ${first.iteration} has not ended, and the schedule forbids two at a time`;
  }
  if (active.length < RUNS_ACTIVE_MAX) return undefined;
  return `${active.length} runs have not ended, the most there may be`;
}

/** The status with one more run; with concurrency "replace" those under way end. */
export function withRun(
  status: JobStatus,
  schedule: JobSchedule,
  run: { now: number; plannedFor?: number },
): JobStatus {
  const iteration = status.iteration + 1;
  const before = status.runs.map((one): JobRun => {
    if (schedule.concurrency !== 'replace' || one.state !== 'active') return one;
    const message = `run ${iteration} took its place`;
    return { ...one, state: 'replaced', endedAt: run.now, message };
  });
  const { now, ...planned } = run;
  const next: JobRun = { iteration, state: 'active', ...planned, at: now, message: '' };
  return withRuns({ ...status, iteration, lastExecution: now }, schedule, [...before, next]);
}

/** The status with these runs, without those that are not kept any more. */
export function withRuns(
  status: JobStatus,
  schedule: JobSchedule,
  runs: readonly JobRun[],
): JobStatus {
  const left = {
    active: Infinity,
    complete: schedule.keepCompleted,
    failed: schedule.keepFailed,
    skipped: RUNS_SKIPPED_KEPT,
    replaced: RUNS_SKIPPED_KEPT,
  };
  const kept = runs.toReversed().filter(({ state }) => {
    left[state] -= 1;
    return left[state] >= 0;
  });
  return { ...status, runs: kept.toReversed() };
}

/** Iterations whose tasks stay: of runs under way, and of ended ones that are kept. */
export function keptIterations({ jobStatus }: Service): ReadonlySet<number> {
  const runs = jobStatus?.runs ?? [];
  return new Set(
    runs
      .filter(({ state }) => state !== 'replaced' && state !== 'skipped')
      .map((run) => run.iteration),
  );
}
