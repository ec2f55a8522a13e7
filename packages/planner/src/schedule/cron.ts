/**
 * When a schedule is due. The words are those of cron(8): five fields with names, ranges, lists and
 * steps, "L" and "#", or @hourly and the like; both days given means either.
 *
 * Where clocks change, as in vixie cron: a fixed time that is skipped counts at the first moment after
 * the gap, and one that comes twice counts the first time. With a "*" or a step as minute or hour real
 * time counts: what is skipped is left out, and what comes twice counts twice.
 */
import type { JobSchedule } from '@swarmd/model';
import { Cron } from 'croner';

import { SCHEDULES_REMEMBERED_MAX } from '../limits.ts';

type Times = Pick<JobSchedule, 'cron' | 'timeZone'>;

const NICKNAMES = /^@(hourly|daily|midnight|weekly|monthly|yearly|annually)$/i;
const SECOND_MS = 1_000;

/** What is wrong with a schedule, in a sentence; undefined: nothing. */
export function scheduleFault(schedule: Times): string | undefined {
  const { cron, timeZone } = schedule;
  const text = cron.trim();
  if (!NICKNAMES.test(text) && text.split(/\s+/).length !== 5) {
    return `schedule "${cron}": write minute, hour, day of month, month and day of week, such as "30 4 * * mon-fri", or @hourly, @daily, @weekly, @monthly or @yearly`;
  }
  if (!isTimeZone(timeZone)) {
    return `time zone "${timeZone}" is not known: write a name of the IANA data base such as Europe/Berlin`;
  }
  try {
    const isNever = parse(schedule).nextRun(dateOf(0)) === null;
    return isNever ? `schedule "${cron}" never comes: there is no such day` : undefined;
  } catch (error) {
    const why = error instanceof Error ? error.message.replace(/^CronPattern: /, '') : '';
    return `schedule "${cron}": ${why}`;
  }
}

/** The first time after `after`; undefined: none ever. Times are milliseconds since the epoch. */
export function nextTime(schedule: Times, after: number): number | undefined {
  return remembered(schedule)?.nextRun(dateOf(after))?.getTime();
}

/** The last time after `after` and up to `until`, both as above. */
export function lastTime(
  schedule: Times,
  { after, until }: { after: number; until: number },
): number | undefined {
  const first = nextTime(schedule, after);
  if (first === undefined || first > until) return undefined;
  let low = first;
  let high = until;
  // There is a time at `low`, and none within (high, until].
  while (high - low > SECOND_MS) {
    const middle = low + Math.floor((high - low) / 2);
    const next = nextTime(schedule, middle);
    if (next !== undefined && next <= until) low = next;
    else high = middle;
  }
  return low;
}

function dateOf(at: number): Date {
  // oxlint-disable-next-line no-restricted-globals -- a given time, no clock is read
  return new Date(at);
}

function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

function parse({ cron, timeZone }: Times): Cron {
  return new Cron(cron.trim(), { timezone: timeZone, paused: true, fixedTimeRule: 'no-wildcard' });
}

/** Parsing costs more than asking. */
const parsed = new Map<string, Cron | undefined>();

/** Undefined for what an older manager let in and this version does not understand. */
function remembered(schedule: Times): Cron | undefined {
  const key = `${schedule.timeZone} ${schedule.cron}`;
  if (!parsed.has(key)) {
    if (parsed.size >= SCHEDULES_REMEMBERED_MAX) parsed.clear();
    parsed.set(key, scheduleFault(schedule) === undefined ? parse(schedule) : undefined);
  }
  return parsed.get(key);
}
