/** The flags that say when a job runs by itself, and what they do to a spec. */
import { SwarmError } from '@swarmd/base';
import type { ServiceSpecInput } from '@swarmd/model';
import type { Command } from 'commander';

import { HEADINGS } from './flag-headings.ts';
import { oneOf, parseCount, parseDuration } from './flags.ts';

export interface ScheduleFlags {
  /** False after --no-schedule. */
  schedule?: string | false;
  timeZone?: string;
  concurrency?: 'allow' | 'forbid' | 'replace';
  startingDeadline?: number;
  suspend?: boolean;
  keepCompleted?: number;
  keepFailed?: number;
}

export function addJobFlags(command: Command): Command {
  return command
    .optionsGroup(HEADINGS.job)
    .option('--max-concurrent <n>', 'tasks at the same time', parseCount)
    .option('--schedule <cron>', 'run then, e.g. "30 4 * * mon-fri" or @daily')
    .option('--time-zone <name>', 'of the schedule, e.g. Europe/Berlin (UTC)')
    .option(
      '--concurrency <allow|forbid|replace>',
      'what to do when the last run has not ended (forbid)',
      oneOf('allow', 'forbid', 'replace'),
    )
    .option('--starting-deadline <duration>', 'start a missed run so late', parseDuration)
    .option('--suspend', 'start nothing by itself')
    .option('--keep-completed <n>', 'ended runs to keep (3)', parseCount)
    .option('--keep-failed <n>', 'failed runs to keep (1)', parseCount);
}

/**
 * The schedule with what was said of it, as a field to spread.
 * @throws SwarmError `invalid-argument` for flags without a schedule.
 */
export function scheduleWith(
  old: ServiceSpecInput['schedule'],
  flags: ScheduleFlags,
): Pick<ServiceSpecInput, 'schedule'> {
  const { schedule } = flags;
  if (schedule === false) return { schedule: undefined };
  const said = Object.fromEntries(
    Object.entries({
      timeZone: flags.timeZone,
      concurrency: flags.concurrency,
      startingDeadlineMs: flags.startingDeadline,
      suspended: flags.suspend,
      keepCompleted: flags.keepCompleted,
      keepFailed: flags.keepFailed,
    }).filter(([, value]) => value !== undefined),
  );
  const cron = schedule ?? old?.cron;
  if (cron !== undefined) {
    const isSame = schedule === undefined && Object.keys(said).length === 0;
    return isSame ? {} : { schedule: { ...old, cron, ...said } };
  }
  if (Object.keys(said).length === 0) return {};
  throw new SwarmError(
    'invalid-argument',
    'the service has no schedule: say when it runs with --schedule, e.g. --schedule "30 4 * * *"',
  );
}
