import { asId, type ServiceSpecInput } from '@swarmd/model';
import { expect, test } from 'vitest';

import { isProgress, isQuiet } from '../src/index.ts';
import { World } from './world.ts';

function world(spec: Partial<ServiceSpecInput> = {}): World {
  const made = new World();
  made.node('n1', {});
  made.create({ name: 'web', task: { container: { image: 'a' } }, ...spec });
  made.plan(asId('service', 'web'));
  return made;
}

const quiet = (of: World): boolean => isQuiet(of.view, asId('service', 'web'));

test('a service whose tasks are on their way is quiet', () => expect(quiet(world())).toBe(true));

test('one that may move tasks is quiet once all of them run', () => {
  const moving = world({ rebalance: { budget: 1 } });
  expect(quiet(moving)).toBe(false);
  moving.settle();
  expect(quiet(moving)).toBe(true);
});

test.each<[string, Partial<ServiceSpecInput>]>([
  ['has a standby', { standby: 1 }],
  ['is a job', { mode: { kind: 'replicated-job' } }],
])('one that %s never is', (_what, spec) => {
  const busy = world(spec);
  busy.settle();
  expect(quiet(busy)).toBe(false);
});

test('that somebody needs the place of a task is more than progress', () => {
  const task = world().find('web.1');
  const running = { ...task, status: { ...task.status, state: 'running' as const } };
  expect(isProgress(task, running)).toBe(true);
  expect(isProgress(task, { ...running, preemptedBy: asId('task', 'other') })).toBe(false);
});
