import { asId, type Task } from '@swarmd/model';
import { describe, expect, it } from 'vitest';

import { judge } from '../src/index.ts';
import { service, task, type ServiceWords } from './support/objects.ts';

/** `down`: nodes that are down. `expected`: "RUNNING/WANTED VERDICT", then each slot "state [!error]". */
interface Case {
  readonly what: string;
  readonly service?: ServiceWords;
  readonly tasks: readonly string[];
  readonly down?: readonly string[];
  readonly desired?: number;
  readonly expected: readonly [string, ...string[]];
}

const scaling: Case[] = [
  { what: 'no task yet', tasks: [], expected: ['0/1 waiting', 'new'] },
  {
    what: 'all slots run',
    service: { replicas: 2 },
    tasks: ['1 running', '2 running'],
    expected: ['2/2 converged', 'running', 'running'],
  },
  {
    what: 'one slot is on its way',
    service: { replicas: 2 },
    tasks: ['1 running', '2 preparing'],
    expected: ['1/2 waiting', 'running', 'preparing'],
  },
  {
    what: 'scaled up: tasks of the older spec are as wanted',
    service: { replicas: 3 },
    tasks: ['1 running same', '2 running same', '3 starting'],
    expected: ['2/3 waiting', 'running', 'running', 'starting'],
  },
  {
    what: 'scaled down: the removed slot still runs',
    tasks: ['1 running same', '2 running same remove'],
    expected: ['1/1 waiting', 'running'],
  },
  {
    what: 'scaled down: the removed slot has ended',
    tasks: ['1 running same', '2 shutdown same remove'],
    expected: ['1/1 converged', 'running'],
  },
  {
    what: 'scaled down: a task of the removed slot that never had a node',
    tasks: ['1 running same', '2 pending same remove @'],
    expected: ['1/1 converged', 'running'],
  },
  {
    what: 'scaled to nothing',
    service: { replicas: 0 },
    tasks: ['1 running same remove'],
    expected: ['0/0 waiting'],
  },
  {
    what: 'scaled to nothing, done',
    service: { replicas: 0 },
    tasks: ['1 shutdown same remove'],
    expected: ['0/0 converged'],
  },
];

const updates: Case[] = [
  {
    what: 'the old task still runs before the new one is made',
    tasks: ['1 running old'],
    expected: ['0/1 waiting', 'new'],
  },
  {
    what: 'the new task runs and the old one has not ended',
    tasks: ['1 running old shutdown', '1 running'],
    expected: ['1/1 waiting', 'running'],
  },
  {
    what: 'the old task has ended',
    tasks: ['1 shutdown old shutdown', '1 running'],
    expected: ['1/1 converged', 'running'],
  },
  {
    what: 'all run, and the update still watches',
    service: { update: 'updating' },
    tasks: ['1 running'],
    expected: ['1/1 waiting', 'running'],
  },
  {
    what: 'the update waits for somebody at a canary step',
    service: { update: 'updating', canary: { passed: 0, waitsSince: 1 } },
    tasks: ['1 running'],
    expected: ['1/1 held', 'running'],
  },
  {
    what: 'the update waits for time to pass at a canary step',
    service: { update: 'updating', canary: { passed: 0, waitsSince: 1, until: 9 } },
    tasks: ['1 running'],
    expected: ['1/1 waiting', 'running'],
  },
  {
    what: 'the update is completed',
    service: { update: 'completed' },
    tasks: ['1 shutdown old shutdown', '1 running'],
    expected: ['1/1 converged', 'running'],
  },
  {
    what: 'the update is paused, whatever runs',
    service: { update: 'paused' },
    tasks: ['1 running'],
    expected: ['1/1 paused', 'running'],
  },
  {
    what: 'the rollback is under way',
    service: { update: 'rollback-started' },
    tasks: ['1 running'],
    expected: ['1/1 waiting', 'running'],
  },
  {
    what: 'the rollback is paused',
    service: { update: 'rollback-paused' },
    tasks: ['1 running'],
    expected: ['1/1 paused', 'running'],
  },
  {
    what: 'rolled back',
    service: { update: 'rollback-completed' },
    tasks: ['1 running'],
    expected: ['1/1 rolled-back', 'running'],
  },
  {
    what: 'only labels of the service changed',
    service: { labels: { new: 'label' } },
    tasks: ['1 running same'],
    expected: ['1/1 converged', 'running'],
  },
  {
    what: 'only placement changed, and nothing has to move',
    tasks: ['1 running moved'],
    expected: ['1/1 converged', 'running'],
  },
];

const trouble: Case[] = [
  {
    what: 'a successor tells why it is needed until it runs',
    tasks: ['1 failed shutdown !exit code 1', '1 preparing'],
    expected: ['0/1 waiting', 'preparing !exit code 1'],
  },
  {
    what: 'a running successor has no error',
    tasks: ['1 failed shutdown !exit code 1', '1 running'],
    expected: ['1/1 converged', 'running'],
  },
  {
    what: 'its own error is shown before that of its forerunner',
    tasks: ['1 failed shutdown !exit code 1', '1 pending @ !no node has enough memory'],
    expected: ['0/1 waiting', 'pending !no node has enough memory'],
  },
  {
    what: 'the newest failure counts',
    tasks: ['1 failed shutdown !first', '1 failed shutdown !second', '1 ready ready'],
    expected: ['0/1 waiting', 'ready !second'],
  },
  {
    what: 'errors of older specs are past',
    tasks: ['1 failed old shutdown !exit code 1', '1 preparing'],
    expected: ['0/1 waiting', 'preparing'],
  },
  {
    what: 'given up',
    tasks: ['1 failed shutdown !exit code 1'],
    expected: ['0/1 waiting', 'failed !exit code 1'],
  },
  {
    what: 'the only task is being stopped',
    tasks: ['1 running shutdown'],
    expected: ['0/1 waiting', 'stopping'],
  },
  {
    what: 'a left-over task on a node that is down is not waited for',
    tasks: ['1 running old shutdown @n2', '1 running'],
    down: ['n2'],
    expected: ['1/1 converged', 'running'],
  },
  {
    what: 'a left-over task on another node is',
    tasks: ['1 running old shutdown @n2', '1 running'],
    down: ['n3'],
    expected: ['1/1 waiting', 'running'],
  },
];

const global: ServiceWords = { mode: { kind: 'global' } };
const job: ServiceWords = {
  mode: { kind: 'replicated-job', maxConcurrent: 1, totalCompletions: 2 },
};

const modes: Case[] = [
  {
    what: 'global: a task on each of the two nodes that suit',
    service: global,
    desired: 2,
    tasks: ['1 running', '4 running @n4'],
    expected: ['2/2 converged', 'running', 'running'],
  },
  {
    what: 'global: one node has none yet',
    service: global,
    desired: 2,
    tasks: ['4 running @n4'],
    expected: ['1/2 waiting', 'running'],
  },
  {
    what: 'global: a task still leaves a node that does not suit any more',
    service: global,
    desired: 1,
    tasks: ['1 running', '4 running shutdown @n4'],
    expected: ['1/1 waiting', 'running'],
  },
  {
    what: 'job: half of it done',
    service: job,
    tasks: ['1 complete complete run2', '2 running complete run2'],
    expected: ['1/2 waiting', 'complete', 'running'],
  },
  {
    what: 'job: done',
    service: job,
    tasks: ['1 complete complete run2', '2 complete complete run2'],
    expected: ['2/2 converged', 'complete', 'complete'],
  },
  {
    what: 'job: done in the last run, not in this one',
    service: job,
    tasks: ['1 complete remove run1', '2 complete remove run1'],
    expected: ['0/2 waiting', 'new', 'new'],
  },
  {
    what: 'job: given up',
    service: job,
    tasks: ['1 complete complete run2', '2 failed shutdown run2 !exit code 1'],
    expected: ['1/2 failed', 'complete', 'failed !exit code 1'],
  },
];

describe.each([
  ['scaling', scaling],
  ['updates', updates],
  ['trouble', trouble],
  ['modes', modes],
])('%s', (_group, cases) => {
  it.each(cases)('$what', ({ service: words, tasks, down, desired = 0, expected }) => {
    const options = { down: new Set(down?.map((id) => asId('node', id))), desired };
    const progress = judge(service(words), tasks.map(task), options);
    expect([
      `${progress.running}/${progress.wanted} ${progress.verdict}`,
      ...progress.slots.map(({ state, error }) => (error === '' ? state : `${state} !${error}`)),
    ]).toEqual(expected);
    const numbers = progress.slots.map(({ slot }) => slot);
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
    const givenUp = progress.verdict === 'failed' ? 'task web.2 was given up: exit code 1' : '';
    expect(progress.message).toBe(words?.update === undefined ? givenUp : `update ${words.update}`);
  });
});

describe('limits that changed on running containers', () => {
  const limited = (slot: number, change: Partial<Task>, status: Partial<Task['status']> = {}) => {
    const one = task(`${slot} running`);
    return { ...one, ...change, status: { ...one.status, ...status } };
  };
  const look = (...tasks: Task[]) => judge(service({ replicas: tasks.length }), tasks);

  it('are waited for until every node has confirmed the newest of them', () => {
    const confirmed = limited(1, { limitsChanged: 2 }, { limitsApplied: 2 });
    const before = limited(2, { limitsChanged: 2 }, { limitsApplied: 1 });
    const after = limited(2, { limitsChanged: 2 }, { limitsApplied: 2 });
    expect(look(confirmed, before)).toMatchObject({ verdict: 'waiting', running: 1 });
    expect(look(confirmed, before).slots[1]?.state).toBe('changing limits');
    expect(look(confirmed, after)).toMatchObject({ verdict: 'converged', running: 2 });
  });

  it('that a node refuses are told; what it refused of an earlier change says nothing', () => {
    const said = { error: 'it uses 90 MiB', limitsRefused: 1 };
    const refused = look(limited(1, { limitsChanged: 1 }, said));
    expect(refused).toMatchObject({ verdict: 'refused', message: 'slot 1: it uses 90 MiB' });
    expect(look(limited(1, { limitsChanged: 2 }, said)).verdict).toBe('waiting');
  });
});
