import { asId, type TaskStatus } from '@swarmd/model';
import { expect, test } from 'vitest';

import { StatusReporter } from '../src/status-reporter.ts';

const [a, b] = [asId('task', 'a'), asId('task', 'b')];

function status(state: TaskStatus['state']): TaskStatus {
  return { state, timestamp: 0, message: '', error: '' };
}

/** "1: a=running b=failed" for a batch. */
function due(reporter: StatusReporter): string | undefined {
  const batch = reporter.nextBatch();
  if (batch === undefined) return undefined;
  const updates = batch.updates.map(({ taskId, status }) => `${taskId}=${status.state}`);
  return `${batch.sequence}: ${updates.join(' ')}`;
}

test('only the newest status of a task is sent, once', () => {
  const reporter = new StatusReporter();
  reporter.report(a, status('preparing'));
  reporter.report(a, status('running'));
  reporter.report(b, status('failed'));
  expect(due(reporter)).toBe('1: a=running b=failed');
  expect(due(reporter)).toBeUndefined();
});

test('what is not acknowledged is sent again in the next session', () => {
  const reporter = new StatusReporter();
  reporter.report(a, status('running'));
  due(reporter);
  reporter.sendAgain();
  expect(due(reporter)).toBe('2: a=running');
  reporter.acknowledge(2);
  reporter.sendAgain();
  expect(due(reporter)).toBeUndefined();
});

test('an acknowledgement does not cover what changed after it was sent', () => {
  const reporter = new StatusReporter();
  reporter.report(a, status('running'));
  due(reporter);
  reporter.report(a, status('failed'));
  reporter.acknowledge(1);
  expect(due(reporter)).toBe('2: a=failed');
});

test('a task that is not ours any more is not reported', () => {
  const reporter = new StatusReporter();
  reporter.report(a, status('running'));
  reporter.forget(a);
  expect(due(reporter)).toBeUndefined();
});

test('batches are bounded', () => {
  const reporter = new StatusReporter();
  for (let n = 0; n < 2_500; n += 1) reporter.report(asId('task', `t${n}`), status('running'));
  const sizes = [1, 2, 3].map(() => reporter.nextBatch()?.updates.length);
  expect(sizes).toEqual([1_000, 1_000, 500]);
  reporter.acknowledge(3);
  expect(reporter.unacknowledged).toBe(false);
});
