/** The life of a task as text: what is seen on the left, state, phase and effects on the right. */
import { describe, expect, test } from 'vitest';
import { array, assert, constantFrom, oneof, property } from 'fast-check';

import { rank } from '@swarmd/model';
import { newLife, type Effect, type Observation, type TaskLife } from '../src/task/life.ts';
import { step } from '../src/task/step.ts';
import { aTask, type TaskOptions } from './support/tasks.ts';

const PREPARED: Observation = { kind: 'prepared' };
const STARTED: Observation = { kind: 'started', pid: 42 };
const REMOVED: Observation = { kind: 'removed' };
const UNASSIGNED: Observation = { kind: 'unassigned' };
const RETRY: Observation = { kind: 'retry-due' };

function wanted(options: TaskOptions = {}): Observation {
  return { kind: 'wanted', task: aTask(options) };
}
function exited(code: number, oomKilled = false): Observation {
  return { kind: 'exited', exit: { code, oomKilled, error: '' } };
}
function prepareFailed(error: string, temporary = false): Observation {
  return { kind: 'prepare-failed', error, temporary };
}
function found(container: 'created' | 'running' | 'exited' | 'absent'): Observation {
  return { kind: 'found', container };
}

/** One line an observation: "preparing/preparing: prepare". */
function story(observations: readonly Observation[], start?: TaskLife): string[] {
  let life = start ?? newLife(aTask());
  return observations.map((observation, at) => {
    const result = step(life, observation, 1000 + at);
    life = result.life;
    const { state, error } = life.status;
    const effects = result.effects.map(effectText).join(' ');
    return `${state}/${life.phase}:${effects === '' ? '' : ` ${effects}`}${error === '' ? '' : ` (${error})`}`;
  });
}

function effectText(effect: Effect): string {
  if (effect.kind === 'retry') return `retry+${effect.afterMs}`;
  if (effect.kind === 'stop') return `stop+${effect.graceMs}`;
  return effect.kind;
}

const UP = [wanted(), PREPARED, STARTED];
const UP_TEXT = [
  'preparing/preparing: prepare',
  'starting/starting: start',
  'running/running: watch',
];

describe('a task that goes its way', () => {
  test('runs, finishes, keeps its logs until it is not assigned any more', () => {
    expect(story([...UP, exited(0), UNASSIGNED, REMOVED])).toEqual([
      ...UP_TEXT,
      'complete/ended: detach',
      'complete/removing: remove',
      'complete/clean: forget',
    ]);
  });

  test('waits at ready until it is wanted to run', () => {
    expect(story([wanted({ desired: 'ready' }), PREPARED, wanted(), STARTED])).toEqual([
      'preparing/preparing: prepare',
      'ready/ready:',
      'starting/starting: start',
      'running/running: watch',
    ]);
  });

  test('is stopped with its grace period when it should shut down', () => {
    const task = { container: { stopGracePeriodMs: 3_000 } };
    const shutdown = wanted({ ...task, desired: 'shutdown' });
    expect(story([wanted(task), PREPARED, STARTED, shutdown, exited(143)])).toEqual([
      ...UP_TEXT,
      'running/stopping: stop+3000',
      'shutdown/ended: detach',
    ]);
  });

  test('is removed from disk when the managers want it removed', () => {
    expect(story([...UP, wanted({ desired: 'remove' }), exited(143), REMOVED, UNASSIGNED])).toEqual(
      [
        ...UP_TEXT,
        'running/stopping: stop+10000',
        'shutdown/removing: detach remove',
        'shutdown/clean:',
        'shutdown/clean: forget',
      ],
    );
  });

  test('is stopped and removed when it is not assigned any more', () => {
    expect(story([...UP, UNASSIGNED, exited(0), REMOVED])).toEqual([
      ...UP_TEXT,
      'running/stopping: stop+10000',
      'shutdown/removing: detach remove',
      'shutdown/clean: forget',
    ]);
  });
});

describe('a task that fails', () => {
  test.each([
    [exited(137), 'failed/ended: detach (exit code 137 (SIGKILL))'],
    [exited(137, true), 'failed/ended: detach (out of memory (limit 64 MiB): exit code 137)'],
    [
      { kind: 'exited', exit: { code: 255, oomKilled: false, error: 'monitor lost' } } as const,
      'failed/ended: detach (monitor lost)',
    ],
  ])('%j', (exit, expected) => {
    const up = [wanted({ memoryBytes: 64 * 1024 * 1024 }), PREPARED, STARTED];
    expect(story([...up, exit]).at(-1)).toBe(expected);
  });

  test('before it was started is rejected, and cleaned up', () => {
    expect(story([wanted(), prepareFailed('no such image'), REMOVED])).toEqual([
      'preparing/preparing: prepare',
      'rejected/removing: remove (no such image)',
      'rejected/clean: (no such image)',
    ]);
  });

  test('while starting has failed', () => {
    expect(story([wanted(), PREPARED, { kind: 'start-failed', error: 'no such file' }])).toEqual([
      'preparing/preparing: prepare',
      'starting/starting: start',
      'failed/removing: remove (no such file)',
    ]);
  });

  test('for a reason that may pass is prepared again, visibly, with growing pauses', () => {
    const busy = prepareFailed('registry unreachable', true);
    expect(story([wanted(), busy, RETRY, busy, RETRY, PREPARED])).toEqual([
      'preparing/preparing: prepare',
      'preparing/waiting: retry+500 (registry unreachable)',
      'preparing/preparing: prepare (registry unreachable)',
      'preparing/waiting: retry+1000 (registry unreachable)',
      'preparing/preparing: prepare (registry unreachable)',
      'starting/starting: start',
    ]);
  });

  test('for that reason too often is rejected', () => {
    const busy = prepareFailed('registry unreachable', true);
    const tries = Array.from({ length: 7 }, () => [busy, RETRY]).flat();
    expect(story([wanted(), ...tries]).at(-2)).toBe(
      'rejected/removing: remove (registry unreachable)',
    );
  });
});

describe('limits that change while a task runs', () => {
  const [small, large] = [{ memoryBytes: 2 ** 23 }, { memoryBytes: 2 ** 24 }];
  const limitsOf = (options: TaskOptions) => aTask(options).spec.limits;

  test('are applied where it runs, one change at a time, the newest last', () => {
    const observations: Observation[] = [
      wanted(small),
      PREPARED,
      STARTED,
      wanted(large),
      wanted(),
      { kind: 'limited', limits: limitsOf(large) },
      { kind: 'limited', limits: limitsOf({}) },
      wanted(),
    ];
    expect(story(observations)).toEqual([
      ...UP_TEXT,
      'running/running: limit',
      'running/running:',
      'running/running: limit',
      'running/running:',
      'running/running:',
    ]);
  });

  test('that it cannot take are said, and tried again', () => {
    const error = 'in use';
    const refused: Observation = { kind: 'limit-failed', limits: limitsOf(small), error };
    const observations: Observation[] = [
      wanted(large),
      PREPARED,
      STARTED,
      wanted(small),
      refused,
      wanted(small),
      RETRY,
      { kind: 'limited', limits: limitsOf(small) },
    ];
    expect(story(observations)).toEqual([
      ...UP_TEXT,
      'running/running: limit',
      'running/running: retry+30000 (in use)',
      'running/running: (in use)',
      'running/running: limit (in use)',
      'running/running:',
    ]);
  });

  test('are confirmed by the number of the change, once the container has them', () => {
    const change = (options: TaskOptions, limitsChanged: number): Observation => ({
      kind: 'wanted',
      task: { ...aTask(options), limitsChanged },
    });
    const said = (observations: readonly Observation[]): (number | undefined)[][] => {
      let life = newLife(aTask(small));
      return observations.map((observation, at) => {
        ({ life } = step(life, observation, 1000 + at));
        return [life.status.limitsApplied, life.status.limitsRefused];
      });
    };
    const up = [PREPARED, STARTED];
    const [none, first] = [undefined, [1, undefined]];
    expect(
      said([
        wanted(small),
        ...up,
        change(large, 1),
        { kind: 'limited', limits: limitsOf(large) },
        change(small, 2),
        { kind: 'limit-failed', limits: limitsOf(small), error: 'in use' },
        RETRY,
        { kind: 'limited', limits: limitsOf(small) },
        // There and back before anything was done: what it has is what is wanted.
        change(small, 4),
      ]),
    ).toEqual([
      ...Array.from({ length: 4 }, () => [none, none]),
      first,
      first,
      [1, 2],
      [1, 2],
      [2, 2],
      [4, 2],
    ]);
    // Changed while it was prepared with the older ones.
    const early = said([wanted(small), change(large, 1), ...up]);
    expect(early.at(-1)).toEqual([none, none]);
    expect(said([change(large, 3), ...up]).at(-1)).toEqual([3, none]);
  });

  test('while it is prepared are applied once it runs', () => {
    expect(story([wanted(small), wanted(large), PREPARED, STARTED])).toEqual([
      'preparing/preparing: prepare',
      'preparing/preparing:',
      'starting/starting: start',
      'running/running: watch limit',
    ]);
  });
});

describe('a task that is not wanted any more', () => {
  const shutdown = wanted({ desired: 'shutdown' });

  test('while it is prepared: the preparation gives up, nothing is left', () => {
    expect(story([wanted(), shutdown, prepareFailed('cancelled'), REMOVED])).toEqual([
      'preparing/preparing: prepare',
      'preparing/cancelling: cancel',
      'preparing/removing: remove',
      'shutdown/clean:',
    ]);
  });

  test('although the preparation came to its end', () => {
    expect(story([wanted(), shutdown, PREPARED, REMOVED]).slice(2)).toEqual([
      'preparing/removing: remove',
      'shutdown/clean:',
    ]);
  });

  test('while it waits at ready, or for a retry', () => {
    expect(story([wanted({ desired: 'ready' }), PREPARED, shutdown]).at(-1)).toBe(
      'ready/removing: remove',
    );
    expect(story([wanted(), prepareFailed('busy', true), shutdown, RETRY]).slice(2)).toEqual([
      'preparing/removing: remove (busy)',
      'preparing/removing: remove (busy)',
    ]);
  });

  test('while it starts: it is stopped once it runs', () => {
    expect(story([wanted(), PREPARED, shutdown, STARTED]).slice(2)).toEqual([
      'starting/starting:',
      'running/stopping: watch stop+10000',
    ]);
  });

  test('but was never begun', () => {
    expect(story([shutdown, REMOVED])).toEqual(['assigned/removing: remove', 'shutdown/clean:']);
  });

  test('and cannot be stopped or removed at once: it is tried again', () => {
    const stuck: Observation = { kind: 'stop-failed', error: 'engine busy' };
    const held: Observation = { kind: 'remove-failed', error: 'device busy' };
    expect(
      story([...UP, UNASSIGNED, stuck, RETRY, exited(137), held, RETRY, REMOVED]).slice(4),
    ).toEqual([
      'running/stopping: retry+2000 (engine busy)',
      'running/stopping: stop+10000 (engine busy)',
      'shutdown/removing: detach remove',
      'shutdown/removing: retry+2000',
      'shutdown/removing: remove',
      'shutdown/clean: forget',
    ]);
  });
});

describe('a task with a health check', () => {
  const times = { intervalMs: 1, timeoutMs: 1, startPeriodMs: 0, startIntervalMs: 1 };
  const healthcheck = { test: ['CMD', 'true'], retries: 3, ...times };
  const up: Observation[] = [wanted(), { kind: 'prepared', healthcheck }, STARTED];

  test('runs once it is healthy', () => {
    expect(story([...up, { kind: 'healthy' }]).slice(2)).toEqual([
      'starting/running: watch check-health',
      'running/running:',
    ]);
  });

  test('that becomes unhealthy is stopped and has failed, whatever its exit code', () => {
    const sick: Observation = { kind: 'unhealthy', error: 'unhealthy: 3 checks failed' };
    expect(story([...up, { kind: 'healthy' }, sick, exited(0)]).slice(4)).toEqual([
      'running/stopping: stop+10000',
      'failed/ended: detach (unhealthy: 3 checks failed)',
    ]);
  });
});

describe('a task of an earlier life of the agent', () => {
  function lived(state: TaskLife['status']['state']): TaskLife {
    return newLife(aTask(), { state, timestamp: 5, message: '', error: '' });
  }

  test.each([
    ['running', 'running', 'running/running: reattach watch limit'],
    ['running', 'exited', 'running/running: watch'],
    [
      'running',
      'absent',
      'failed/removing: remove (the container is gone: the machine was restarted, or someone removed it)',
    ],
    ['starting', 'running', 'running/running: reattach watch limit'],
    ['starting', 'created', 'starting/starting: start'],
    ['ready', 'created', 'ready/preparing: prepare'],
    ['preparing', 'absent', 'preparing/preparing: prepare'],
    ['assigned', 'absent', 'preparing/preparing: prepare'],
    ['failed', 'exited', 'failed/ended: detach'],
    ['failed', 'running', 'failed/removing: remove'],
    ['rejected', 'absent', 'rejected/ended: detach'],
  ] as const)('%s, container %s', (state, container, expected) => {
    expect(story([found(container)], lived(state))).toEqual([expected]);
  });

  test('keeps the time it started', () => {
    expect(step(lived('running'), found('running'), 999).life.status.timestamp).toBe(5);
  });
});

test('whatever is seen, in whatever order: the state never goes back, and ends', () => {
  const observation = oneof(
    constantFrom<NonNullable<TaskOptions['desired']>>('ready', 'running', 'shutdown', 'remove').map(
      (desired) => wanted({ desired }),
    ),
    constantFrom<Observation>(
      UNASSIGNED,
      PREPARED,
      STARTED,
      REMOVED,
      RETRY,
      exited(0),
      exited(1),
      prepareFailed('no'),
      prepareFailed('busy', true),
      { kind: 'start-failed', error: 'no' },
      { kind: 'healthy' },
      { kind: 'unhealthy', error: 'sick' },
      { kind: 'stop-failed', error: 'busy' },
      { kind: 'remove-failed', error: 'busy' },
      found('absent'),
      found('running'),
    ),
  );
  assert(
    property(array(observation, { maxLength: 30 }), (observations) => {
      let life = newLife(aTask());
      for (const seen of observations) {
        const next = step(life, seen, 1).life;
        expect(rank(next.status.state)).toBeGreaterThanOrEqual(rank(life.status.state));
        life = next;
      }
    }),
  );
});
