import { SwarmError } from '@swarmd/base';
import { ManualClock } from '@swarmd/base/testing';
import { asId, type Service, type Task } from '@swarmd/model';
import { describe, expect, it } from 'vitest';

import type { Commit } from '../src/index.ts';
import { createMemoryStore } from '../src/testing.ts';
import { codeOf, never, service, task } from './support/objects.ts';

describe('transactions', () => {
  it('see their own writes, and are seen by others once committed, at the version of the commit', async () => {
    const store = createMemoryStore({ clock: new ManualClock(77) });
    const name = await store.update((tx) => {
      tx.put('service', service('web'));
      tx.put('task', task('t1', { nodeId: asId('node', 'n1') }));
      expect([...tx.tasksByService(asId('service', 'web'))]).toHaveLength(1);
      expect(store.view.version).toBe(0);
      return tx.serviceByName('web')?.spec.name;
    }, never);
    expect(name).toBe('web');
    expect(store.view.serviceByName('web')?.meta).toEqual({
      version: 1,
      createdAt: 77,
      updatedAt: 77,
    });
    expect([...store.view.tasksByNode(asId('node', 'n1'))].map((t) => t.id)).toEqual(['t1']);
  });

  it('stamp what is written together with one meta, and later writes leave it as it was', async () => {
    const store = createMemoryStore({ clock: new ManualClock(77) });
    const of = (id: string) => store.view.get('task', asId('task', id))!;
    await store.update((tx) => {
      for (const id of ['a', 'b', 'c']) tx.put('task', task(id));
    }, never);
    expect(of('a').meta).toBe(of('b').meta);
    await store.update((tx) => tx.put('task', { ...of('b'), serviceName: 'two' }), never);
    await store.update((tx) => {
      for (const id of ['a', 'b', 'c']) tx.put('task', { ...of(id), serviceName: 'three' });
      tx.put('task', task('d'));
    }, never);
    expect(['a', 'b', 'c', 'd'].map((id) => of(id).meta)).toEqual([
      { version: 3, createdAt: 77, updatedAt: 79 },
      { version: 3, createdAt: 77, updatedAt: 79 },
      { version: 3, createdAt: 77, updatedAt: 79 },
      { version: 3, createdAt: 79, updatedAt: 79 },
    ]);
  });

  it('refuse the old version of one of several that had one meta', async () => {
    const store = createMemoryStore();
    const of = (id: string) => store.view.get('task', asId('task', id))!;
    await store.update((tx) => {
      for (const id of ['a', 'b']) tx.put('task', task(id));
    }, never);
    const [a, b] = [of('a'), of('b')];
    await store.update((tx) => tx.put('task', { ...a, serviceName: 'two' }), never);
    expect(await codeOf(store.update((tx) => tx.put('task', a), never))).toBe('out-of-date');
    await store.update((tx) => tx.put('task', { ...b, serviceName: 'two' }), never);
    expect([a, b].map(({ meta }) => meta.version)).toEqual([1, 1]);
    expect([of('a'), of('b')].map(({ meta }) => meta.version)).toEqual([2, 3]);
  });

  it('leave nothing behind when they throw', async () => {
    const store = createMemoryStore();
    const failed = store.update((tx) => {
      tx.put('service', service('web'));
      throw new SwarmError('failed-precondition', 'no');
    }, never);
    expect(await codeOf(failed)).toBe('failed-precondition');
    expect(store.view.serviceByName('web')).toBeUndefined();
    expect(store.view.version).toBe(0);
  });

  it('are stamped later than everything before, even if the clock goes back', async () => {
    const clock = new ManualClock(5_000);
    const store = createMemoryStore({ clock });
    await store.update((tx) => tx.put('task', task('a')), never);
    await store.update((tx) => tx.put('task', task('b')), never);
    const behind = createMemoryStore({ clock: new ManualClock(1_000) });
    behind.restore(store.view.version, store.snapshot());
    await behind.update((tx) => tx.put('task', task('c')), never);
    const stamps = [...behind.view.list('task')].map((one) => one.meta.createdAt);
    expect(stamps).toEqual([5_000, 5_001, 5_002]);
  });

  it('refuse an old version, a removed object, a name that is taken', async () => {
    const store = createMemoryStore();
    await store.update((tx) => tx.put('service', service('web')), never);
    const old = store.view.serviceByName('web')!;
    await store.update((tx) => tx.put('service', { ...old, specVersion: 1 }), never);
    const write = (object: Service) =>
      codeOf(store.update((tx) => tx.put('service', object), never));
    expect(await write(old)).toBe('out-of-date');
    expect(await write(service('web', 'other'))).toBe('already-exists');
    await store.update((tx) => tx.delete('service', old.id), never);
    expect(await write(old)).toBe('out-of-date');
    expect(await write(service('web', 'other'))).toBe('no error');
  });

  it('may rename, and free the old name', async () => {
    const store = createMemoryStore();
    await store.update((tx) => tx.put('service', service('web')), never);
    await store.update((tx) => {
      const before = tx.serviceByName('web')!;
      tx.put('service', { ...before, spec: { ...before.spec, name: 'site' } });
      tx.put('service', service('web', 'second'));
    }, never);
    expect(store.view.serviceByName('site')?.id).toBe('web');
    expect(store.view.serviceByName('web')?.id).toBe('second');
  });

  it('may write while they iterate, and make and unmake an object', async () => {
    const store = createMemoryStore();
    await store.update((tx) => {
      tx.put('task', task('a'));
      tx.put('task', task('b'));
    }, never);
    await store.update((tx) => {
      for (const one of tx.tasksByService(asId('service', 'web'))) {
        tx.put('task', task(`${one.id}2`));
        tx.delete('task', one.id);
      }
      tx.put('task', task('gone'));
      tx.delete('task', asId('task', 'gone'));
    }, never);
    expect([...store.view.list('task')].map((t) => t.id)).toEqual(['a2', 'b2']);
  });

  it.each([
    ['status goes back', { status: { ...task('t').status, state: 'new' } }],
    ['desired state decreases', { desiredState: 'ready' }],
    ['node changes', { nodeId: asId('node', 'n2') }],
    ['slot changes', { slot: 2 }],
  ] satisfies [string, Partial<Task>][])('crash when a task moves back: %s', async (_, change) => {
    const store = createMemoryStore();
    await store.update((tx) => tx.put('task', task('t', { nodeId: asId('node', 'n1') })), never);
    const before = store.view.get('task', asId('task', 't'))!;
    await expect(
      store.update((tx) => tx.put('task', { ...before, ...change }), never),
    ).rejects.toThrow('invariant broken');
  });

  it('lets a standby come to a slot, once', async () => {
    const store = createMemoryStore();
    const id = asId('task', 't');
    await store.update((tx) => tx.put('task', task('t', { slot: 0 })), never);
    const slot = (number: number) =>
      store.update((tx) => tx.put('task', { ...tx.get('task', id)!, slot: number }), never);
    await slot(2);
    await expect(slot(3)).rejects.toThrow('stays in its slot');
  });

  it('cannot be asynchronous or used afterwards', async () => {
    const store = createMemoryStore();
    // @ts-expect-error an async callback is refused by the type
    await expect(store.update(async () => 1, never)).rejects.toThrow('synchronous');
    let leaked: { put: (table: 'task', object: Task) => void } | undefined;
    await store.update((tx) => {
      leaked = tx;
    }, never);
    expect(() => leaked?.put('task', task('x'))).toThrow('not written to after');
    expect(store.view.count('task')).toBe(0);
  });
});

describe('replication', () => {
  it('a snapshot is a picture that later changes do not touch, and restores to the same', async () => {
    const store = createMemoryStore();
    await store.update((tx) => {
      tx.put('service', service('web'));
      tx.put('task', task('t1'));
    }, never);
    const picture = store.snapshot();
    await store.update((tx) => {
      tx.delete('task', asId('task', 't1'));
      tx.put('service', service('later'));
    }, never);
    const copy = createMemoryStore();
    await copy.update((tx) => tx.put('service', service('web', 'stale')), never);
    const commits: Commit[] = [];
    using _ = copy.subscribe((commit) => commits.push(commit));
    copy.restore(1, picture);
    expect(copy.view.serviceByName('web')?.id).toBe('web');
    expect([...copy.view.list('task')].map((t) => t.id)).toEqual(['t1']);
    expect(copy.view.count('service')).toBe(1);
    expect(commits.flatMap((c) => c.changes.map((x) => (x.after ?? x.before)?.id))).toEqual([
      'web',
      't1',
      'stale',
    ]);
  });

  it('tells subscribers before and after of every applied change', async () => {
    const store = createMemoryStore();
    const commits: Commit[] = [];
    const subscription = store.subscribe((commit) => commits.push(commit));
    await store.update((tx) => tx.put('task', task('t1')), never);
    await store.update((tx) => tx.delete('task', asId('task', 't1')), never);
    subscription[Symbol.dispose]();
    await store.update((tx) => tx.put('task', task('t2')), never);
    expect(
      commits.map((c) => [c.version, c.changes[0]?.before?.id, c.changes[0]?.after?.id]),
    ).toEqual([
      [1, undefined, 't1'],
      [2, 't1', undefined],
    ]);
  });

  it('rehearses a transaction: sees what it would do, and replicates nothing', async () => {
    const store = createMemoryStore();
    const commits: Commit[] = [];
    await store.update((tx) => {
      tx.put('service', service('web'));
      tx.put('task', task('t1'));
    }, never);
    using _ = store.subscribe((commit) => commits.push(commit));
    const before = [...store.snapshot()];
    const seen = await store.rehearse((tx) => {
      tx.delete('task', asId('task', 't1'));
      tx.put('task', task('t2'));
      tx.put('task', task('t3'));
      tx.delete('task', asId('task', 't3'));
      expect([...tx.list('task')].map(({ id }) => id)).toEqual(['t2']);
      return tx.changes().map((change) => [change.before?.id, change.after?.id]);
    }, never);
    expect(seen).toEqual([
      ['t1', undefined],
      [undefined, 't2'],
    ]);
    expect(store.view.version).toBe(1);
    expect(commits).toEqual([]);
    expect([...store.snapshot()]).toEqual(before);
    const refused = store.rehearse((tx) => tx.put('service', service('web', 'other')), never);
    expect(await codeOf(refused)).toBe('already-exists');
  });
});
