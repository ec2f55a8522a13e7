/** The runs of a scheduled job in words: which there were, which there were not and why, what comes. */
import { timeText } from '@swarmd/base';
import type { JobRun, Service } from '@swarmd/model';

/** One line; empty for services without a schedule. */
export function nextRun({ spec, jobStatus }: Service): string {
  if (spec.schedule === undefined) return '';
  if (spec.schedule.suspended) return 'suspended';
  const nextAt = jobStatus?.schedule?.nextAt;
  return nextAt === undefined ? 'no next run' : `next ${timeText(nextAt)}`;
}

/** Lines: the schedule, then the runs that are known of, oldest first. */
export function explainRuns(service: Service): string[] {
  const { schedule } = service.spec;
  if (schedule === undefined) return [];
  return [
    `  schedule "${schedule.cron}" (${schedule.timeZone}): ${nextRun(service)}`,
    ...(service.jobStatus?.runs ?? []).map((run) => `  ${describe(run)}`),
  ];
}

function describe({ iteration, state, plannedFor, at, endedAt, message }: JobRun): string {
  const due = plannedFor === undefined ? 'asked for by a user' : `due ${timeText(plannedFor)}`;
  const why = message === '' ? '' : `: ${message}`;
  if (state === 'skipped') return `no run ${due}${why}`;
  const end = endedAt === undefined ? 'has not ended' : `${WORDS[state]} ${timeText(endedAt)}`;
  return `run ${iteration}, ${due}, started ${timeText(at)}, ${end}${why}`;
}

const WORDS: Readonly<Record<JobRun['state'], string>> = {
  active: 'ended',
  complete: 'complete',
  failed: 'failed',
  replaced: 'replaced',
  skipped: 'skipped',
};
