import { asId, type Task, type TaskState } from '@swarmd/model';
import { describe, expect, it } from 'vitest';

import { acceptStatus, type StatusIntake } from '../src/index.ts';
import { World } from './world.ts';

function runningTask(): Task {
  const world = new World();
  world.node('n1', {});
  world.create({ name: 'web', task: { container: { image: 'a' } } });
  world.settle();
  return world.find('web.1');
}

function report(
  task: Task,
  state: TaskState,
  more: { node?: string; error?: string } = {},
): StatusIntake {
  const status = { state, timestamp: 2_000_000, message: '', error: more.error ?? '' };
  return acceptStatus(task, { status, nodeId: asId('node', more.node ?? 'n1'), now: 3_000_000 });
}

describe('acceptStatus', () => {
  it('takes a later state, with the time it was taken', () => {
    const intake = report(runningTask(), 'failed', { error: 'exit code 1' });
    expect(intake).toMatchObject({
      kind: 'accepted',
      task: { status: { state: 'failed', error: 'exit code 1', appliedAt: 3_000_000 } },
    });
  });

  it('remembers when a task started running, also once it has ended', () => {
    const task = runningTask();
    expect(task.startedAt).toBe(1_000_000);
    const ended = report(task, 'complete');
    expect(ended).toMatchObject({ task: { startedAt: 1_000_000 } });
  });

  it.each([
    ['ignored', 'an earlier state', { state: 'preparing' }],
    ['refused', "another node's task", { state: 'failed', node: 'n2' }],
    ['refused', 'a state that only managers give', { state: 'orphaned' }],
    ['refused', 'a state before the agent had it', { state: 'assigned' }],
  ] as const)('%s: %s', (kind, _, { state, ...more }) => {
    expect(report(runningTask(), state, more).kind).toBe(kind);
  });

  it('leaves a task as it ended', () => {
    const ended = report(runningTask(), 'complete');
    const task = ended.kind === 'accepted' ? ended.task : runningTask();
    expect(report(task, 'failed')).toEqual({
      kind: 'ignored',
      reason: 'task t1 has ended: complete',
    });
  });

  it('writes the same news only once', () => {
    const first = report(runningTask(), 'running', { error: 'unhealthy' });
    const task = first.kind === 'accepted' ? first.task : runningTask();
    expect(report(task, 'running', { error: 'unhealthy' })).toEqual({
      kind: 'ignored',
      reason: 'nothing new',
    });
  });
});
