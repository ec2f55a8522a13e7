import { ManualClock } from '@swarmd/base/testing';
import { expect, it } from 'vitest';

import { WORK_LOOK_MS } from '../src/limits.ts';
import { reportWork } from '../src/manager/work-report.ts';

const IDLE = { userCPUTime: 1_000_000, systemCPUTime: 500_000, fsRead: 7 };

it.each([
  { what: 'computes', after: { ...IDLE, userCPUTime: 1_060_000, systemCPUTime: 540_000 }, told: 1 },
  { what: 'reads', after: { ...IDLE, fsRead: 8 }, told: 1 },
  { what: 'waits', after: { ...IDLE, userCPUTime: 1_020_000 }, told: 0 },
])('a process that $what', ({ after, told }) => {
  const clock = new ManualClock();
  let usage = IDLE;
  let count = 0;
  const report = reportWork(
    clock,
    () => usage,
    () => (count += 1),
  );
  clock.advance(WORK_LOOK_MS);
  expect(count).toBe(0);
  usage = after;
  clock.advance(WORK_LOOK_MS);
  expect(count).toBe(told);
  clock.advance(10 * WORK_LOOK_MS);
  expect(count).toBe(told);
  report[Symbol.dispose]();
  usage = { ...after, fsRead: 100 };
  clock.advance(WORK_LOOK_MS);
  expect(count).toBe(told);
});
