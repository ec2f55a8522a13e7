/**
 * Jobs that run by a schedule. Which times have been decided on is stored with the service and written
 * together with the tasks of the run, so that whoever leads next goes on after the last decision: no
 * time is acted on twice, and what came due while nobody led is made up for.
 */
import { timeText } from '@swarmd/base';
import {
  isGlobal,
  type JobRun,
  type JobSchedule,
  type JobStatus,
  type Service,
  type Task,
} from '@swarmd/model';

import type { Draft } from '../draft.ts';
import type { ReasonCode } from '../reasons.ts';
import { lastTime, nextTime } from '../schedule/cron.ts';
import { byAge, endedByItself, isWanted, taskName } from '../task-view.ts';
import { isDone } from './job.ts';
import { activeRuns, runRefusal, withRun, withRuns } from './runs.ts';

/** The job as one of its runs sees it: what it starts belongs to that run. */
export function asOfRun(service: Service, { iteration }: JobRun): Service {
  const { jobStatus } = service;
  return jobStatus === undefined ? service : { ...service, jobStatus: { ...jobStatus, iteration } };
}

/** Notices which runs have ended. To be asked once their tasks have been seen to. */
export function endRuns(draft: Draft, service: Service, schedule: JobSchedule): Service {
  const { jobStatus } = service;
  if (jobStatus === undefined) return service;
  let after = service;
  for (const run of activeRuns(jobStatus)) {
    const end = endOf(draft, service, run);
    if (end === undefined) continue;
    const name = `run ${run.iteration}`;
    const why =
      end.state === 'complete'
        ? draft.reason('run-complete', `${name} is complete`)
        : draft.reason('run-failed', `${name} has failed: ${end.message}`);
    const runs = (after.jobStatus?.runs ?? []).map((one) =>
      one.iteration === run.iteration ? { ...one, ...end, endedAt: draft.now } : one,
    );
    draft.setService({ ...after, jobStatus: withRuns(jobStatus, schedule, runs) }, why);
    after = draft.service ?? after;
  }
  return after;
}

/** How a run ended; undefined: it has not. */
function endOf(
  draft: Draft,
  { spec: { mode } }: Service,
  { iteration }: JobRun,
): Pick<JobRun, 'state' | 'message'> | undefined {
  const tasks = draft
    .tasks()
    .filter((task) => task.jobIteration === iteration && task.desiredState !== 'remove');
  if (tasks.some((task) => isWanted(task) && !isDone(task))) return undefined;
  const slots = Map.groupBy(tasks, (task) => task.slot);
  const isComplete = (slot: readonly Task[]): boolean => slot.some(isDone);
  if (mode.kind === 'replicated-job' && slots.size < mode.totalCompletions) return undefined;
  // A task that had to leave its node was not given up: the run goes without that node.
  const givenUp = [...slots.values()]
    .filter((slot) => !isComplete(slot))
    .flatMap((slot) => slot.toSorted(byAge).findLast(endedByItself) ?? [])[0];
  if (givenUp !== undefined) {
    const { state, error } = givenUp.status;
    const message = `task ${taskName(givenUp)} was given up: ${error || state}`;
    return { state: 'failed', message };
  }
  if (isGlobal(mode) && slots.size === 0) return { state: 'failed', message: 'no node suits' };
  return { state: 'complete', message: '' };
}

/** Acts on the newest time that has come since the last decision, and says when the next one is. */
export function followSchedule(draft: Draft, service: Service, schedule: JobSchedule): Service {
  const { jobStatus } = service;
  const progress = jobStatus?.schedule;
  if (jobStatus === undefined || progress === undefined) return service;
  const { decidedUntil } = progress;
  const after = schedule.suspended
    ? { jobStatus, decidedUntil, why: undefined }
    : decide(draft, { jobStatus, decidedUntil, schedule });
  const nextAt = schedule.suspended ? undefined : nextTime(schedule, after.decidedUntil);
  if (nextAt !== undefined) {
    const message = `the next run of ${service.spec.name} is due then`;
    draft.waitUntil(nextAt, { code: 'schedule', message });
  }
  if (nextAt === progress.nextAt && after.decidedUntil === decidedUntil) return service;
  const next = {
    ...service,
    jobStatus: {
      ...after.jobStatus,
      schedule: {
        decidedUntil: after.decidedUntil,
        ...(nextAt === undefined ? {} : { nextAt }),
      },
    },
  };
  draft.setService(
    next,
    after.why === undefined ? undefined : draft.reason(after.why.code, after.why.message),
  );
  return draft.service ?? next;
}

interface Decision {
  readonly jobStatus: JobStatus;
  readonly decidedUntil: number;
  readonly why: { readonly code: ReasonCode; readonly message: string } | undefined;
}

function decide(
  draft: Draft,
  job: { jobStatus: JobStatus; decidedUntil: number; schedule: JobSchedule },
): Decision {
  const { decidedUntil, schedule } = job;
  const { now } = draft;
  const due = lastTime(schedule, { after: decidedUntil, until: now });
  if (due === undefined) return { jobStatus: job.jobStatus, decidedUntil, why: undefined };
  const jobStatus = withMissed(job, { due, now });
  const lateMs = now - due;
  const isTooLate = schedule.startingDeadlineMs > 0 && lateMs > schedule.startingDeadlineMs;
  const refusal = isTooLate
    ? `it could only be started ${lateMs} ms late, and the starting deadline is ${schedule.startingDeadlineMs} ms`
    : runRefusal(jobStatus, schedule);
  if (refusal !== undefined) {
    return {
      jobStatus: withSkipped(jobStatus, schedule, { plannedFor: due, at: now, message: refusal }),
      decidedUntil: due,
      why: { code: 'run-skipped', message: `no run for ${timeText(due)}: ${refusal}` },
    };
  }
  const started = withRun(jobStatus, schedule, { now, plannedFor: due });
  const late = lateMs < LATE_MS ? '' : `, ${Math.round(lateMs / 1_000)} s late`;
  return {
    jobStatus: started,
    decidedUntil: due,
    why: {
      code: 'run-due',
      message: `run ${started.iteration} begins, which is due at ${timeText(due)}${late}`,
    },
  };
}

/** Earlier than this is not worth a word. */
const LATE_MS = 5_000;

/** Of several times that were missed only the newest is acted on; the others are told of, together. */
function withMissed(
  {
    jobStatus,
    decidedUntil,
    schedule,
  }: { jobStatus: JobStatus; decidedUntil: number; schedule: JobSchedule },
  { due, now }: { due: number; now: number },
): JobStatus {
  const first = nextTime(schedule, decidedUntil);
  if (first === undefined || first >= due) return jobStatus;
  const message = `nobody could start it in time; of all that were missed until ${timeText(due)} only the newest counts`;
  return withSkipped(jobStatus, schedule, { plannedFor: first, at: now, message });
}

function withSkipped(
  status: JobStatus,
  schedule: JobSchedule,
  skipped: Pick<JobRun, 'plannedFor' | 'at' | 'message'>,
): JobStatus {
  return withRuns(status, schedule, [
    ...status.runs,
    { iteration: 0, state: 'skipped', ...skipped },
  ]);
}
