/** What an outbox remembers of what it has told. */
import { expect, it } from 'vitest';

import type { ManagerMessage } from '@swarmd/api';
import { asId, type Task } from '@swarmd/model';

import { Outbox } from '../src/dispatcher/outbox.ts';
import { aTask } from './support/objects.ts';

const node = asId('node', 'here');
const told = aTask('t', {
  nodeId: node,
  status: { state: 'starting', timestamp: 0, message: '', error: '' },
});
const running: Task = { ...told, status: { ...told.status, state: 'running', timestamp: 9 } };

function outboxOf(tasks: { now: Task[] }): { outbox: Outbox; news: () => ManagerMessage[] } {
  const outbox = new Outbox(
    { kind: 'welcome', sessionId: 's', heartbeatPeriodMs: 1 },
    {
      version: () => 1,
      assigned: () => ({ tasks: [...tasks.now], secrets: [], configs: [] }),
      managers: () => [],
      role: () => undefined,
      measures: () => [],
      unchanged: () => undefined,
      again: () => undefined,
    },
  );
  const news = (): ManagerMessage[] => {
    outbox.assignmentsChanged();
    outbox.prepare();
    const messages: ManagerMessage[] = [];
    for (let one = outbox.next(); one !== undefined; one = outbox.next()) messages.push(one);
    return messages.filter(({ kind }) => kind === 'assignments');
  };
  return { outbox, news };
}

it('keeps the newest version of a task whose progress its agent told itself, and says nothing', () => {
  const tasks = { now: [told] };
  const { outbox, news } = outboxOf(tasks);
  expect(news()).toHaveLength(1);
  outbox.progressed(told, running);
  expect(outbox.sent?.tasks).toEqual([running]);
  expect(outbox.sent?.tasks[0]).toBe(running);
  tasks.now = [running];
  expect(news()).toEqual([]);
});

it('tells what differs since, and keeps nothing of tasks that were not told', () => {
  const tasks = { now: [told] };
  const { outbox, news } = outboxOf(tasks);
  outbox.progressed(told, running);
  expect(outbox.sent).toBeUndefined();
  news();
  outbox.progressed(aTask('other'), running);
  expect(outbox.sent?.tasks).toEqual([told]);
  outbox.progressed(told, running);
  const stopping: Task = { ...running, desiredState: 'shutdown' };
  tasks.now = [stopping];
  expect(news()).toMatchObject([{ delta: { full: false, putTasks: [stopping] } }]);
});
