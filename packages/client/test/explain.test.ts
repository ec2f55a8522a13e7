import { asId, type Node, type Reason, type Task } from '@swarmd/model';
import { describe, expect, it } from 'vitest';

import { explainNode, explainService, explainTask } from '../src/index.ts';
import { duration } from '../src/explain-words.ts';
import { service, task } from './support/objects.ts';

const NOW = 100_000;

function because(code: string, message: string, more: Partial<Reason> = {}): Reason {
  return { code, message, at: NOW - 5_000, ...more };
}

function node(id: string, fields: Partial<Node> = {}): Node {
  return {
    id: asId('node', id),
    meta: { version: 1, createdAt: 0, updatedAt: 0 },
    spec: { labels: {}, role: 'worker', availability: 'active' },
    role: 'worker',
    index: 1,
    gatewaySubnet: '',
    ingressAddress: '',
    status: { state: 'ready', message: '', address: '', agentAddress: '', since: 0 },
    ...fields,
  };
}

function made(words: string, fields: Partial<Task> = {}): Task {
  const one = task(words);
  return {
    ...one,
    id: asId('task', `t${one.slot}`),
    status: { ...one.status, timestamp: NOW - 2_000 },
    ...fields,
  };
}

describe('explain', () => {
  it('a task without a node: which rule, which filters refused how many nodes', () => {
    const refusals = [
      { filter: 'insufficient memory', nodes: 2 },
      { filter: 'drained', nodes: 1 },
    ];
    const { nodeId: _none, ...waiting } = made(
      '1 pending @ !no suitable node (insufficient memory)',
      {
        because: [
          because('scale-up', '1 replica is wanted, 0 exist'),
          because('no-suitable-node', 'no suitable node', { placement: { refusals } }),
        ],
      },
    );
    const verdicts = [
      { nodeId: asId('node', 'n1'), lacks: 'insufficient memory', cure: [] },
      { nodeId: asId('node', 'n2'), lacks: 'insufficient memory', cure: [] },
      { nodeId: asId('node', 'n3'), cure: [] },
    ];
    const placement = { verdicts, nodes: [node('n1')] };
    expect(explainTask(waiting, { now: NOW, placement })).toEqual([
      'task web.1 (t1) is pending without a node, 2 s ago; wanted: running',
      '  error: no suitable node (insufficient memory)',
      '  now: it waits for a node: no suitable node (insufficient memory)',
      '  refused by n1, n2: insufficient memory',
      '  it fits on n3',
      '  5 s ago: 1 replica is wanted, 0 exist [scale-up]',
      '  5 s ago: no suitable node [no-suitable-node]',
      '    insufficient memory: 2 nodes',
      '    drained: 1 node',
    ]);
  });

  it('what came again and again is one line, with how often and since when', () => {
    const { nodeId: _none, ...waiting } = made('1 pending @ !no suitable node', {
      because: [
        because('no-suitable-node', 'no suitable node', { times: 12, since: NOW - 60_000 }),
      ],
    });
    expect(explainTask(waiting, { now: NOW }).at(-1)).toBe(
      '  5 s ago: no suitable node [no-suitable-node], 12 times in other words since 60 s ago',
    );
  });

  it.each<[string, { one: Task; on: Node | undefined }, string]>([
    ['runs', { one: made('1 running'), on: node('n1') }, 'it runs as it should'],
    [
      'waits for its restart delay',
      {
        one: made('1 ready ready', {
          startNotBefore: NOW + 4_000,
          because: [
            because('task-ended', 'replaces web.1 (t0): it ended: failed', { until: NOW + 4_000 }),
            because('placed', 'placed on n1'),
          ],
        }),
        on: node('n1'),
      },
      'it may start in 4 s: replaces web.1 (t0): it ended: failed',
    ],
    [
      'is told to stop',
      {
        one: made('1 running shutdown', {
          because: [because('node-drained', 'its node is drained')],
        }),
        on: node('n1'),
      },
      'it is to stop: its node is drained',
    ],
    [
      'is on a node that is down',
      {
        one: made('1 running'),
        on: node('n1', {
          status: { state: 'down', message: 'silent', address: '', agentAddress: '', since: 0 },
        }),
      },
      'its node is down: silent',
    ],
    [
      'is on a node that was removed',
      { one: made('1 running'), on: undefined },
      'its node is not in the cluster any more',
    ],
  ])('a task that %s', (_what, { one, on }, expected) => {
    expect(explainTask(one, { now: NOW, node: on })).toContain(`  now: ${expected}`);
  });

  it('a prepared successor waits for the task before it', () => {
    const before = made('1 running shutdown', { id: asId('task', 'old') });
    const next = made('1 ready ready', { startNotBefore: NOW });
    expect(explainTask(next, { now: NOW, node: node('n1'), siblings: [before, next] })).toContain(
      '  now: it starts when old, which is running, has stopped',
    );
    const [soon, later] = [500, 9_000].map((ms) => ({ ...next, startNotBefore: NOW + ms }));
    const said = (one: Task): string | undefined =>
      explainTask(one, { now: NOW, node: node('n1'), siblings: [before, one] })[1];
    expect(said(soon!)).toBe('  now: it starts when old, which is running, has stopped');
    expect(said(later!)).toMatch(/may start in 9 s, when old, which is running, has stopped/);
  });

  it('a service: its update, and the slots that are not as they should be', () => {
    const tasks = [made('1 running'), made('2 preparing')];
    const wait = { code: 'update-delay', message: 'the delay passes', until: NOW + 9_000 };
    const told = { code: 'restart-delay', message: 'told with the task', until: NOW + 1_000 };
    const lines = explainService(service({ replicas: 2, update: 'paused' }), tasks, {
      now: NOW,
      nodes: [node('n1')],
      waits: [told, wait],
    });
    expect(lines[0]).toBe('service web: 1 of 2 slots have a task that runs');
    expect(lines[1]).toBe(
      '  update: paused, begun 100 s ago, 1 of 2 tasks run the present spec: update paused',
    );
    expect(lines[2]).toMatch(/^ {2}to go on: mend it with .*, or go back with: .* rollback web$/);
    expect(lines[3]).toBe('  waits 9 s: the delay passes [update-delay]');
    expect(lines[4]).toMatch(/^ {2}web\.2 \(t2\): preparing: its node is at work on it/);
  });

  it('a service: a rollback that failed, what gave up included, standbys not, and the way on', () => {
    const over = made('2 failed !exit code 1', { desiredState: 'shutdown' });
    const standby = made('0 ready', { desiredState: 'ready' });
    const failed = service({ replicas: 2, update: 'rollback-paused' });
    const around = { now: NOW, nodes: [node('n1')] };
    const lines = explainService(failed, [made('1 running'), over, standby], around);
    expect(lines[1]).toMatch(
      /^ {2}update: rollback-paused, .*, 1 of 2 tasks run the present spec:/,
    );
    expect(lines[2]).toMatch(
      /^ {2}to go on: .* swarmctl service update --force web; or .* --to SPEC/,
    );
  });

  it.each(['paused', 'rollback-paused'] as const)(
    'a service: that its update was %s is a note once every task runs the present spec',
    (update) => {
      const around = { now: NOW, nodes: [node('n1')] };
      const over = made('1 failed !exit code 1', {
        id: asId('task', 'over'),
        desiredState: 'shutdown',
      });
      const standby = made('0 preparing', { desiredState: 'ready' });
      const said = (...tasks: Task[]): string | undefined =>
        explainService(service({ replicas: 2, update }), [over, standby, ...tasks], around)[2];
      expect(said(made('1 running'), made('2 running'))).toBe(
        '  now: every task has come to run the present spec since, and nothing is left to do; the next service update takes this note away',
      );
      for (const other of ['2 preparing', '2 running old', '2 running shutdown']) {
        expect(said(made('1 running'), made(other))).toMatch(/^ {2}to go on: /);
      }
    },
  );

  it('a service: a task of the spec that failed goes on failing while the rollback stands still', () => {
    const around = { now: NOW, nodes: [node('n1')] };
    const said = (update: 'rollback-paused' | 'rollback-started', words: string): string =>
      explainService(service({ replicas: 2, update }), [made('1 running'), made(words)], around)
        .slice(-1)
        .join();
    const why = /^ {4}it is of another spec than the present one: .* is started again as it was$/;
    expect(said('rollback-paused', '2 preparing old')).toMatch(why);
    expect(said('rollback-paused', '2 preparing')).not.toMatch(why);
    expect(said('rollback-started', '2 preparing old')).not.toMatch(why);
  });

  it('a service: when its update was over, which is not when it began', () => {
    const done = service({ update: 'completed' });
    const updateStatus = { ...done.updateStatus!, completedAt: NOW - 5_000 };
    const lines = explainService({ ...done, updateStatus }, [made('1 running')], {
      now: NOW,
      nodes: [node('n1')],
    });
    expect(lines[1]).toBe('  update: completed 5 s ago, begun 100 s ago: update completed');
  });

  it('a job: tasks that run are as they should be, and how many have completed is told', () => {
    const job = service({
      mode: { kind: 'replicated-job', totalCompletions: 2, maxConcurrent: 1 },
    });
    const tasks = [made('1 complete complete'), made('2 running complete')];
    expect(explainService(job, tasks, { now: NOW, nodes: [node('n1')] })).toEqual([
      'service web: 2 of 2 slots are as they should be: 1 completed, 1 running',
    ]);
  });

  it('a service: its standbys are no slots', () => {
    const standby = (state: string, id: string) =>
      made(`0 ${state}`, { desiredState: 'ready', id: asId('task', id) });
    const two = service();
    const lines = explainService(
      { ...two, spec: { ...two.spec, standby: 2 } },
      [made('1 running'), standby('ready', 'a'), standby('preparing', 'b')],
      { now: NOW, nodes: [node('n1')] },
    );
    expect(lines).toEqual([
      'service web: 1 of 1 slot is as it should be',
      '  1 of 2 standbys are prepared',
      expect.stringMatching(/^ {2}web\.standby \(b\): preparing: its node prepares it/),
    ]);
  });

  it('a service: what became of the attempts before', () => {
    const end = { desiredState: 'shutdown' } as const;
    const first = made('1 rejected !no such image', { ...end, id: asId('task', 'a') });
    const second = made('1 failed !exit code 1', { ...end, id: asId('task', 'b') });
    const later = { ...second, status: { ...second.status, timestamp: NOW - 1_000 } };
    const other = made('2 failed !exit code 2', { ...end, because: [because('x', 'gave up')] });
    const around = { now: NOW, nodes: [node('n1')] };
    const lines = explainService(service(), [first, later, made('1 preparing'), other], around);
    expect(lines.slice(1)).toEqual([
      expect.stringMatching(/^ {2}web\.1 \(t1\): preparing: its node is at work on it/),
      '    2 tasks before it failed, the last one 1 s ago: failed (exit code 1)',
      '  web.2 (t2): failed (exit code 2): it has ended; gave up',
    ]);
  });

  it('a service: that a task is on its way to a node with more room', () => {
    const moved = because('rebalanced', 'replaces web.1 (t0): node n2 has more room');
    const lines = explainService(service(), [made('1 starting', { because: [moved] })], {
      now: NOW,
      nodes: [node('n1')],
    });
    expect(lines.slice(1)).toEqual([
      expect.stringMatching(/^ {2}web\.1 \(t1\): starting: its node is at work on it/),
      '    replaces web.1 (t0): node n2 has more room [rebalanced]',
    ]);
  });

  it('a service: which nodes refuse the first task that waits', () => {
    const { nodeId: _none, ...waiting } = made('1 pending @ !no suitable node');
    const verdicts = Array.from({ length: 12 }, (_, n) => ({
      nodeId: asId('node', `n${n + 1}`),
      lacks: 'drained',
      cure: n === 11 ? ['swarmctl node update --availability active n12'] : ['a', 'b'],
    }));
    const around = { now: NOW, nodes: [] };
    const placement = { verdicts, nodes: [] };
    expect(explainService(service(), [waiting], { ...around, placement }).slice(-2)).toEqual([
      '  refused by n1, n2, n3, n4, n5, n6, n7, n8, n9, n10 and 2 more: drained',
      '  it would fit on n12 after: swarmctl node update --availability active n12',
    ]);
    const nobody = { verdicts: [], nodes: [] };
    expect(explainService(service(), [waiting], { ...around, placement: nobody }).at(-1)).toBe(
      '  there is no node that it may run on',
    );
  });

  it.each([
    [400, '0 s'],
    [179_000, '179 s'],
    [600_000, '10 min'],
    [86_399_000, '24 h'],
    [3 * 86_400_000, '3 d'],
  ])('times as people say them: %d ms', (ms, text) => {
    expect(duration(ms)).toBe(text);
  });

  it('a service without tasks has none that is not as it should be', () => {
    const [line] = explainService(service(), [], { now: NOW, nodes: [] });
    expect(line).toBe('service web: it has no task now');
  });

  it('a node: whether it takes tasks, and what leaves it', () => {
    const flapping = node('n2');
    const heldUntil = NOW + 1_000;
    const held = { ...flapping, status: { ...flapping.status, message: 'lost twice', heldUntil } };
    expect(explainNode(held, [], NOW)).toEqual([
      'node n2 (n2) has been ready for 100 s: lost twice',
      '  takes no new tasks yet: it comes and goes, for 1 s more',
      '  0 tasks are to run here, 0 are to stop',
    ]);
    const drained = node('n1', { spec: { labels: {}, role: 'worker', availability: 'drain' } });
    const leaving = made('1 running shutdown', {
      because: [because('node-drained', 'its node is being drained')],
    });
    expect(explainNode(drained, [leaving, made('2 failed')], NOW)).toEqual([
      'node n1 (n1) has been ready for 100 s',
      '  takes no tasks: it is drained, and its tasks move away',
      '  0 tasks are to run here, 1 is to stop',
      '  web.1 (t1) leaves: its node is being drained',
    ]);
  });
});
