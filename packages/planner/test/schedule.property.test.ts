/**
 * Schedules against a second opinion that goes minute by minute through the clocks of a time zone, and
 * scheduled jobs through changes of leader: each time of the schedule is acted on once.
 */
import type { JobRun } from '@swarmd/model';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { lastTime, nextTime, scheduleFault } from '../src/schedule/cron.ts';
import { World } from './world.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** Days around a change of clocks, by time zone; Lord Howe's change is half an hour. */
const CHANGES = [
  { timeZone: 'Europe/Berlin', at: '2026-03-29T01:00:00Z' },
  { timeZone: 'Europe/Berlin', at: '2026-10-25T01:00:00Z' },
  { timeZone: 'America/New_York', at: '2026-03-08T07:00:00Z' },
  { timeZone: 'America/New_York', at: '2026-11-01T06:00:00Z' },
  { timeZone: 'Australia/Lord_Howe', at: '2026-04-04T15:00:00Z' },
  { timeZone: 'Australia/Lord_Howe', at: '2026-10-03T15:30:00Z' },
  { timeZone: 'Asia/Kolkata', at: '2026-06-01T00:00:00Z' },
  { timeZone: 'UTC', at: '2026-12-31T23:00:00Z' },
];

interface Field {
  readonly text: string;
  readonly isStar: boolean;
  readonly has: (value: number) => boolean;
}

function field(min: number, max: number): fc.Arbitrary<Field> {
  const value = fc.integer({ min, max });
  const isIn = (list: readonly number[]) => (one: number) => list.includes(one);
  return fc.oneof(
    fc.constant({ text: '*', isStar: true, has: () => true }),
    fc.integer({ min: 2, max: 20 }).map((step) => ({
      text: `*/${step}`,
      isStar: true,
      has: (one: number) => (one - min) % step === 0,
    })),
    value.map((one) => ({ text: `${one}`, isStar: false, has: isIn([one]) })),
    fc.uniqueArray(value, { minLength: 2, maxLength: 4 }).map((list) => ({
      text: list.join(','),
      isStar: false,
      has: isIn(list),
    })),
    fc.tuple(value, value).map(([a, b]) => ({
      text: `${Math.min(a, b)}-${Math.max(a, b)}`,
      isStar: false,
      has: (one: number) => one >= Math.min(a, b) && one <= Math.max(a, b),
    })),
  );
}

interface WallTime {
  readonly at: number;
  readonly minute: number;
  readonly hour: number;
  readonly day: number;
  /** Minutes that the clock shows since some day. */
  readonly shown: number;
}

function wallTimes(timeZone: string, from: number, until: number): WallTime[] {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
  });
  const times: WallTime[] = [];
  for (let at = from; at <= until; at += MINUTE_MS) {
    const parts = Object.fromEntries(
      format.formatToParts(at).map(({ type, value }) => [type, Number(value)]),
    ) as Record<'year' | 'month' | 'day' | 'hour' | 'minute', number>;
    const { year, month, day, hour, minute } = parts;
    const shown = Date.UTC(year, month - 1, day, hour, minute) / MINUTE_MS;
    times.push({ at, minute, hour, day, shown });
  }
  return times;
}

/** The rule as it is told to users, carried out on every minute. */
function expectedTimes(
  times: readonly WallTime[],
  { minute, hour }: { minute: Field; hour: Field },
): number[] {
  const isInterval = minute.isStar || hour.isStar;
  const seen = new Set<number>();
  const found = new Set<number>();
  let last = times[0]?.shown ?? 0;
  for (const time of times) {
    if (!isInterval) {
      for (let shown = last + 1; shown < time.shown; shown += 1) {
        const skipped = new Date(shown * MINUTE_MS);
        if (minute.has(skipped.getUTCMinutes()) && hour.has(skipped.getUTCHours())) {
          found.add(time.at);
        }
      }
    }
    const isAgain = seen.has(time.shown);
    if (minute.has(time.minute) && hour.has(time.hour) && (isInterval || !isAgain)) {
      found.add(time.at);
    }
    seen.add(time.shown);
    last = Math.max(last, time.shown);
  }
  return [...found];
}

describe('a schedule', () => {
  it('comes when its words say, also where clocks change', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...CHANGES),
        field(0, 59),
        field(0, 23),
        ({ timeZone, at }, minute, hour) => {
          const from = Date.parse(at) - 8 * HOUR_MS;
          const until = from + 16 * HOUR_MS;
          const schedule = { cron: `${minute.text} ${hour.text} * * *`, timeZone };
          const actual: number[] = [];
          let next = nextTime(schedule, from - 1);
          while (next !== undefined && next <= until) {
            actual.push(next);
            next = nextTime(schedule, next);
          }
          const expected = expectedTimes(wallTimes(timeZone, from, until), { minute, hour });
          const iso = (list: readonly number[]) => list.map((one) => new Date(one).toISOString());
          expect([schedule.cron, ...iso(actual)]).toEqual([schedule.cron, ...iso(expected)]);
          expect(lastTime(schedule, { after: from - 1, until })).toBe(actual.at(-1));
        },
      ),
      { numRuns: 80 },
    );
  });

  it.each([
    ['30 4 1,15 * FRI', 'UTC', ['2026-11-20T04:30', '2026-11-27T04:30', '2026-12-01T04:30']],
    ['0 9-17/4 * JAN-mar mon-Fri', 'UTC', ['2027-01-01T09:00', '2027-01-01T13:00']],
    ['@weekly', 'UTC', ['2026-11-22T00:00', '2026-11-29T00:00']],
    ['0 0 29 2 *', 'UTC', ['2028-02-29T00:00', '2032-02-29T00:00']],
    ['0 0 L * *', 'UTC', ['2026-11-30T00:00', '2026-12-31T00:00']],
    ['0 12 * * 7', 'Europe/Berlin', ['2026-11-22T11:00', '2026-11-29T11:00']],
  ])('%s (%s)', (cron, timeZone, times) => {
    expect(scheduleFault({ cron, timeZone })).toBeUndefined();
    let at = Date.parse('2026-11-19T12:00:00Z');
    for (const time of times) {
      at = nextTime({ cron, timeZone }, at) ?? 0;
      expect(new Date(at).toISOString().slice(0, 16)).toBe(time);
    }
  });
});

function runsOf(world: World): readonly JobRun[] {
  return world.service('j').jobStatus?.runs ?? [];
}

describe('a scheduled job', () => {
  /** Leaders whose clocks differ by up to 2 s, and times without one. */
  const history = fc.array(
    fc.record({
      ms: fc.constantFrom(1, 900, 20_000, 59_000, 61_000, 400_000),
      skewMs: fc.integer({ min: -2_000, max: 2_000 }),
      isLed: fc.boolean(),
    }),
    { minLength: 5, maxLength: 40 },
  );

  it.each(['allow', 'forbid', 'replace'] as const)(
    'acts on each time once at most, on the newest always, and keeps what it is told to (%s)',
    (concurrency) => {
      fc.assert(
        fc.property(history, (steps) => {
          const world = new World();
          const start = Date.parse('2026-11-20T10:00:30Z');
          world.now = start;
          world.node('n1', {});
          const cron = '*/2 * * * *';
          world.create({
            name: 'j',
            mode: { kind: 'replicated-job' },
            task: { container: { image: 'slow' } },
            schedule: { cron, concurrency, keepCompleted: 2 },
          });
          let time = start;
          const acted: number[] = [];
          for (const { ms, skewMs, isLed } of steps) {
            time += ms;
            if (!isLed) continue;
            world.now = time + skewMs;
            const before = new Set(runsOf(world));
            for (const id of world.serviceIds()) world.plan(id);
            const runs = runsOf(world);
            acted.push(
              ...runs
                .filter((run) => !before.has(run) && run.endedAt === undefined)
                .flatMap(({ plannedFor }) => plannedFor ?? []),
            );
            const newest = lastTime({ cron, timeZone: 'UTC' }, { after: start, until: world.now });
            expect(Math.max(start, ...acted)).toBeGreaterThanOrEqual(newest ?? start);
            world.agents();
            const one = world.tasks().find((task) => task.status.state === 'running');
            if (skewMs > 0 && one !== undefined) world.report(one, 'complete');
            expect(runs.filter(({ state }) => state === 'complete').length).toBeLessThanOrEqual(2);
            const active = runs.filter(({ state }) => state === 'active').length;
            expect(active).toBeLessThanOrEqual(concurrency === 'allow' ? 20 : 1);
          }
          expect(acted.toSorted((a, b) => a - b)).toEqual([...new Set(acted)]);
        }),
        { numRuns: 30 },
      );
    },
  );
});
