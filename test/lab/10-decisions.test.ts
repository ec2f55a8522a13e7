/** What the cluster would do, and why it does not: dry runs and explanations, with real managers. */
import type { Preview } from '@swarmd/api';
import type { Node } from '@swarmd/model';
import { afterAll, describe, expect, it } from 'vitest';

import { BUSYBOX, ctl, ok, remove, running, service, until, untilRunning } from './support.ts';

const SLEEP = ['sleep', '100000'];
/** Stops at once, so that the suite need not wait for grace periods. */
const QUICK = ['--stop-signal', 'SIGKILL'];

async function nodes(): Promise<Node[]> {
  return JSON.parse(await ok('node', 'ls', '--format', 'json')) as Node[];
}

async function dryRun(...args: string[]): Promise<Preview> {
  const [preview] = JSON.parse(await ok(...args, '--dry-run', '--format', 'json')) as Preview[];
  if (preview === undefined) throw new Error('no preview');
  return preview;
}

describe('a dry run', () => {
  afterAll(() => remove('plan'));

  it('of a new service, asked of a follower, makes nothing', async () => {
    const flags = ['--dry-run', '--name', 'plan', '--replicas', '3'];
    const { stdout } = await ctl('m2', 'service', 'create', ...flags, BUSYBOX, ...SLEEP);
    expect(stdout).toMatch(/^dry run: nothing is written\n/);
    expect(stdout).toMatch(/\n {2}mode\.replicas: none -> 3\n/);
    expect(stdout.match(/^start +plan\.\d +[mw]\d/gm)).toHaveLength(3);
    expect((await ctl('m1', 'service', 'inspect', 'plan')).code).toBe(3);
  });

  it('of scaling names the nodes that the tasks then come to', async () => {
    await ok('service', 'create', '--name', 'plan', ...QUICK, BUSYBOX, ...SLEEP);
    const before = await service('plan');
    const { tasks } = await dryRun('service', 'scale', 'plan=3');
    expect((await service('plan')).meta.version).toBe(before.meta.version);
    expect(tasks.map(({ action }) => action)).toEqual(['start', 'start']);
    await ok('service', 'scale', 'plan=3');
    const where = (await untilRunning('plan', 3)).filter(({ slot }) => slot > 1);
    expect(where.map(({ slot, nodeId }) => `${slot} ${nodeId}`).toSorted()).toEqual(
      tasks.map(({ slot, toNodeId }) => `${slot} ${toNodeId}`),
    );
  });

  it('of draining a node tells which tasks move, and drains nothing', async () => {
    const [task] = await running('plan');
    if (task?.nodeId === undefined) throw new Error('no task of plan runs');
    const { tasks } = await dryRun('node', 'drain', task.nodeId);
    expect(tasks).toContainEqual(
      expect.objectContaining({ action: 'move', slot: task.slot, fromNodeId: task.nodeId }),
    );
    expect((await nodes()).map(({ spec }) => spec.availability)).not.toContain('drain');
  });

  it('of an update shows the field, its first step, and how much is left', async () => {
    const { spec, later } = await dryRun('service', 'update', '--env-add', 'A=1', 'plan');
    expect(spec).toEqual([{ path: 'task.container.env[0]', after: '"A=1"' }]);
    expect(later).toBe(2);
  });
});

describe('the history of a service', () => {
  afterAll(() => remove('past'));

  it('lists its specs, and any of them comes back', async () => {
    await ok('service', 'create', '--name', 'past', '--detach', ...QUICK, BUSYBOX, ...SLEEP);
    for (const replicas of [2, 3]) await ok('service', 'scale', '--detach', `past=${replicas}`);
    const listed = await ok('service', 'history', 'past');
    expect([...listed.matchAll(/(in use|ago) +(\d)/g)].map((match) => match[2])).toEqual([
      '3',
      '2',
      '1',
    ]);
    await ok('service', 'rollback', '--to', '0', '--detach', 'past');
    expect((await service('past')).spec.mode).toEqual({ kind: 'replicated', replicas: 1 });
  });
});

describe('explain', () => {
  afterAll(() => remove('stuck'));

  it('names the nodes that refuse a task that waits, and what each lacks', async () => {
    const flags = ['--detach', '--name', 'stuck', '--constraint', 'node.labels.moon==1'];
    await ok('service', 'create', ...flags, BUSYBOX, ...SLEEP);
    const names = (await nodes()).map(({ description }) => description?.hostname ?? '');
    for (const words of [
      ['service', 'stuck'],
      ['task', 'stuck.1'],
    ]) {
      const refusal = /^ {2}refused by (.*): placement constraints not met: (.*)$/m;
      // A service that was made just now may have no task yet.
      const [, nodesOf, lacks] = await until('it is said why', async () => {
        return refusal.exec((await ctl('m1', 'explain', ...words)).stdout) ?? undefined;
      });
      expect(nodesOf?.split(', ').toSorted()).toEqual(names.toSorted());
      expect(lacks).toBe('node.labels.moon==1');
    }
  });
});
