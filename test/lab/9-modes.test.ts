/** Global services, jobs, and what the planner does beyond Swarm, with real containers. */
import type { Node, Task } from '@swarmd/model';
import { afterAll, describe, expect, it } from 'vitest';

import {
  BUSYBOX,
  ctl,
  hostOf,
  inTask,
  ok,
  pidOf,
  remove,
  running,
  sh,
  tasks,
  until,
  untilRunning,
} from './support.ts';

const SLEEP = ['sleep', '100000'];
/** Stops at once, so that the suite need not wait for grace periods. */
const QUICK = ['--stop-signal', 'SIGKILL'];

async function nodes(): Promise<Node[]> {
  return JSON.parse(await ok('node', 'ls', '--format', 'json')) as Node[];
}

async function worker(): Promise<Node> {
  const found = (await nodes()).find(({ role }) => role === 'worker');
  if (found === undefined) throw new Error('the lab has no worker');
  return found;
}

function create(name: string, ...flags: string[]): Promise<string> {
  return ok('service', 'create', '--name', name, ...QUICK, ...flags, BUSYBOX, ...SLEEP);
}

const on = (node: Node) => (task: Task) => task.nodeId === node.id;

describe('a global service', () => {
  afterAll(() => remove('everywhere'));

  it('runs once on every node, and knows where it is', async () => {
    const where = '{{.Service.Name}}-{{.Node.Hostname}}';
    await create('everywhere', '--mode', 'global', '--hostname', where, '--env', `WHERE=${where}`);
    const found = await running('everywhere');
    expect(new Set(found.map((task) => task.nodeId)).size).toBe((await nodes()).length);
    for (const task of found) {
      const { name } = await hostOf(task);
      expect(await inTask(task, 'hostname')).toBe(`everywhere-${name}`);
    }
    const count = found.length;
    expect(await ok('service', 'ls')).toMatch(new RegExp(`everywhere +global +${count}/${count}`));
  });

  it('leaves a drained node and comes back to an active one', async () => {
    const node = await worker();
    const count = (await nodes()).length;
    await ok('node', 'update', '--availability', 'drain', node.id);
    await untilRunning('everywhere', count - 1);
    await ok('node', 'update', '--availability', 'active', node.id);
    expect((await untilRunning('everywhere', count)).some(on(node))).toBe(true);
  });

  it('has no number to set', async () => {
    const { code, stderr } = await ctl('m1', 'service', 'scale', 'everywhere=3');
    expect(code).toBe(2);
    expect(stderr).toMatch(/this service is global/);
  });
});

describe('a job', () => {
  afterAll(() => remove('batch', 'bad', 'once'));

  const job = (name: string, flags: string[], ...line: string[]) =>
    ctl('m1', 'service', 'create', '--name', name, '--mode', ...flags, BUSYBOX, ...line);

  it('completes so often, so many at a time, and again when it is updated', async () => {
    const flags = ['replicated-job', '--replicas', '4', '--max-concurrent', '2'];
    const { code, stderr } = await job('batch', flags, 'true');
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/4 out of 4 tasks completed/);
    expect(await ok('service', 'ls')).toMatch(
      /batch +replicated-job +0 running \(4\/4 completed\)/,
    );
    const before = new Set((await tasks('batch')).map(({ id }) => id));
    await ok('service', 'update', '--force', 'batch');
    const after = await tasks('batch');
    expect(after.map(({ status }) => status.state)).toEqual(Array(4).fill('complete'));
    expect(after.some(({ id }) => before.has(id))).toBe(false);
  });

  it('says that it cannot complete when its attempts are used up', async () => {
    const flags = ['replicated-job', '--restart-max-attempts', '1', '--restart-delay', '100ms'];
    const { code, stderr } = await job('bad', flags, 'false');
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/task bad.1 was given up: exit code 1/);
    expect(await tasks('bad')).toHaveLength(2);
  });

  it('runs once on every node if it is global', async () => {
    const { code, stderr } = await job('once', ['global-job'], 'true');
    expect(code, stderr).toBe(0);
    const ran = new Set((await tasks('once')).map((task) => task.nodeId));
    expect(ran.size).toBe((await nodes()).length);
  });
});

describe('templates', () => {
  afterAll(async () => {
    await remove('templated');
    await ctl('m1', 'config', 'rm', 'greeting');
  });

  it('are expanded in configs, and refused when they cannot be', async () => {
    const host = (await worker()).description?.hostname ?? '';
    const made = await ctl(
      host === 'm1' ? 'm2' : 'm1',
      'config',
      'create',
      '--template-driver',
      'golang',
      'greeting',
      '/etc/hostname',
    );
    expect(made.code, made.stderr).toBe(0);
    await create('templated', '--config', 'greeting:/greeting', '--env', 'SLOT={{.Task.Slot}}');
    const [task] = await running('templated');
    if (task === undefined) throw new Error('it runs');
    const environment = await sh(
      await hostOf(task),
      `tr '\\0' '\\n' < /proc/${pidOf(task)}/environ`,
    );
    expect(environment).toContain('SLOT=1');
    const bad = await ctl('m1', 'service', 'create', '--env', 'A={{.Task.Slt}}', BUSYBOX);
    expect(bad.code).toBe(2);
    expect(bad.stderr).toContain('there is no .Task.Slt');
  });
});

describe('a standby', () => {
  afterAll(() => remove('ready'));

  it('takes over at once from a task that dies', async () => {
    await create('ready', '--standby', '1', '--restart-delay', '1s');
    await until('a standby that is ready', async () =>
      (await tasks('ready')).find(({ slot, status }) => slot === 0 && status.state === 'ready'),
    );
    const [old] = await running('ready');
    if (old === undefined) throw new Error('it runs');
    await until('it to have run for a second', () =>
      Date.now() - (old.startedAt ?? Infinity) > 1_100 ? true : undefined,
    );
    await sh(await hostOf(old), `kill -9 ${pidOf(old)}`);
    const next = await until('the standby to run', async () =>
      (await running('ready')).find(({ promotedAt }) => promotedAt !== undefined),
    );
    expect(next.slot).toBe(1);
    expect(next.id).not.toBe(old.id);
  });
});

describe('placement', () => {
  afterAll(async () => {
    await remove('fixed', 'low', 'high', 'even');
    await ctl('m1', 'node', 'update', '--label-rm', 'disk', (await worker()).id);
  });

  it('follows labels: a task whose node no longer suits moves', async () => {
    const node = await worker();
    await ok('node', 'update', '--label-add', 'disk=ssd', node.id);
    await create('fixed', '--constraint', 'node.labels.disk in ssd,nvme');
    expect((await running('fixed')).every(on(node))).toBe(true);
    const other = (await nodes()).find(({ id }) => id !== node.id);
    await ok('node', 'update', '--label-add', 'disk=nvme', other?.id ?? '');
    await ok('node', 'update', '--label-rm', 'disk', node.id);
    await until('it to run on the other node', async () =>
      (await running('fixed')).some((task) => task.nodeId === other?.id) ? true : undefined,
    );
    await ok('node', 'update', '--label-rm', 'disk', other?.id ?? '');
  });

  it('makes room for what is more important', async () => {
    const node = await worker();
    const most = Math.floor((node.description?.resources.memoryBytes ?? 0) * 0.6);
    const flags = ['--reserve-memory', String(most), '--constraint', `node.id==${node.id}`];
    await create('low', ...flags);
    await create('high', ...flags, '--priority', '5', '--preempt');
    expect(await running('high')).toHaveLength(1);
    await until('the other one to wait, and to say what for', async () =>
      (await tasks('low')).find(
        ({ desiredState, status }) =>
          desiredState === 'running' && status.error.includes('insufficient memory'),
      ),
    );
    await remove('high');
    await untilRunning('low', 1);
  });

  it('moves tasks to a node that returns, if the service says so', async () => {
    const node = await worker();
    await ok('node', 'update', '--availability', 'drain', node.id);
    const count = (await nodes()).length;
    const policy = [
      '--rebalance-budget',
      '2',
      '--rebalance-interval',
      '0',
      '--update-parallelism',
      '2',
    ];
    await create('even', '--replicas', String(2 * count), ...policy);
    await ok('node', 'update', '--availability', 'active', node.id);
    await until('two tasks on every node', async () => {
      const perNode = Map.groupBy(await running('even'), (task) => task.nodeId);
      const isEven =
        perNode.size === count && [...perNode.values()].every((one) => one.length === 2);
      return isEven ? true : undefined;
    });
  });
});

describe('an update that cannot proceed', () => {
  afterAll(() => remove('stuck'));

  it('fails visibly after its deadline, and costs nothing that runs', async () => {
    await create('stuck', '--replicas', '2', '--update-progress-deadline', '2s');
    const before = (await running('stuck')).map(({ id }) => id).sort();
    const update = ['service', 'update', '--constraint-add', 'node.labels.nowhere exists', 'stuck'];
    const { code, stderr } = await ctl('m1', ...update);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/made no progress for 2 s: no suitable node/);
    expect((await running('stuck')).map(({ id }) => id).sort()).toEqual(before);
  });
});
