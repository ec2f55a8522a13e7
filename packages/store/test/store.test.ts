import { SwarmError, errorCode } from '@swarmd/base';
import { ManualClock } from '@swarmd/base/testing';
import { asId, serviceSpec, type Service, type Task } from '@swarmd/model';
import { describe, expect, it } from 'vitest';

import type { Commit } from '../src/index.ts';
import { createMemoryStore } from '../src/testing.ts';
import { heldStore } from './support/held-store.ts';

const never = new AbortController().signal;

function service(name: string, id = name): Service {
  return {
    id: asId('service', id),
    meta: { version: 0, createdAt: 0, updatedAt: 0 },
    spec: serviceSpec.parse({ name, task: { container: { image: 'busybox' } } }),
    specVersion: 0,
    endpoint: { ports: [], virtualIps: [] },
    because: [],
  };
}

function task(id: string, changes: Partial<Task> = {}): Task {
  return {
    id: asId('task', id),
    meta: { version: 0, createdAt: 0, updatedAt: 0 },
    serviceId: asId('service', 'web'),
    serviceName: 'web',
    slot: 1,
    spec: service('web').spec.task,
    specVersion: 0,
    desiredState: 'running',
    status: { state: 'pending', timestamp: 0, message: '', error: '' },
    networks: [],
    ports: [],
    because: [],
    ...changes,
  };
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'no error',
    (error: unknown) => errorCode(error),
  );
}

async function turns(): Promise<void> {
  for (let i = 0; i < 20; i += 1) await Promise.resolve();
}

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

describe('group commit', () => {
  it('sends what waits as one proposal, with the later transactions seeing the earlier', async () => {
    const held = heldStore();
    const first = held.store.update((tx) => tx.put('service', service('a')), never);
    await turns();
    const seen: number[] = [];
    const later = ['b', 'c', 'd'].map((name) =>
      held.store.update((tx) => {
        tx.put('service', service(name));
        seen.push(tx.count('service'));
      }, never),
    );
    await turns();
    expect(held.proposals).toHaveLength(1);
    held.commit();
    await first;
    await turns();
    expect(seen).toEqual([2, 3, 4]);
    expect(held.store.view.count('service')).toBe(1);
    held.commit();
    await Promise.all(later);
    expect(held.proposals.map((changes) => changes.length)).toEqual([1, 3]);
  });

  it('lets what somebody waits for go first, and what is patient go on', async () => {
    const held = heldStore();
    const first = held.store.update((tx) => tx.put('service', service('first')), never);
    await turns();
    const write = (name: string, isPatient: boolean): Promise<void> =>
      held.store.update(
        (tx) => {
          tx.put('service', service(name));
          // Each takes longer than its lane has in one batch.
          held.clock.advance(1_000);
        },
        never,
        { isPatient },
      );
    const names = (lane: string, length: number): string[] =>
      Array.from({ length }, (_, at) => `${lane}${at + 1}`);
    const [users, plans] = [names('u', 20), names('p', 20)];
    const all = [
      ...plans.map((name) => write(name, true)),
      ...users.map((name) => write(name, false)),
    ];
    for (let batch = 0; batch < 4; batch += 1) {
      held.commit();
      await turns();
    }
    await Promise.all([first, ...all]);
    const batches = held.proposals.map((changes) =>
      changes.map((change) => (change.kind === 'put' ? change.object.id : '')),
    );
    // Also where time passes while little gets done, batches do not shrink to one of each.
    expect(batches).toEqual([
      ['first'],
      [...users.slice(0, 16), ...plans.slice(0, 8)],
      [...users.slice(16), ...plans.slice(8, 16)],
      plans.slice(16),
    ]);
  });

  it('answers a batch while the next one is on its way already', async () => {
    const gathering: (() => void)[] = [];
    const held = heldStore((collect) => gathering.push(collect));
    const first = held.store.update((tx) => tx.put('service', service('a')), never);
    gathering.shift()?.();
    const second = held.store.update((tx) => tx.put('service', service('b')), never);
    const proposed = first.then(() => held.proposals.length);
    held.commit();
    expect(await proposed).toBe(2);
    expect(held.store.view.count('service')).toBe(1);
    held.commit();
    await second;
    expect(gathering).toEqual([]);
  });

  it('never lets two writes of one version through, even within a batch', async () => {
    const held = heldStore();
    const made = held.store.update((tx) => tx.put('service', service('web')), never);
    await turns();
    held.commit();
    await made;
    const read = held.store.view.serviceByName('web')!;
    const blind = [1, 2].map((specVersion) =>
      held.store.update((tx) => tx.put('service', { ...read, specVersion }), never),
    );
    const careful = held.store.update((tx) => {
      const newest = tx.serviceByName('web')!;
      tx.put('service', { ...newest, specVersion: newest.specVersion + 10 });
      return newest.meta.version;
    }, never);
    for (let i = 0; i < 3; i += 1) {
      await turns();
      held.commit();
    }
    expect(await Promise.all(blind.map(codeOf))).toEqual(['no error', 'out-of-date']);
    expect(await careful).toBe(2);
    expect(held.store.view.serviceByName('web')?.specVersion).toBe(11);
  });

  it('fails the transactions of a failed batch with its code, and only those that wrote', async () => {
    const held = heldStore();
    const writer = held.store.update((tx) => tx.put('service', service('web')), never);
    const reader = held.store.update((tx) => tx.count('service'), never);
    const clash = held.store.update((tx) => tx.put('service', service('web', 'two')), never);
    await turns();
    held.fail(new SwarmError('unknown-outcome', 'leader lost'));
    expect(await codeOf(writer)).toBe('unknown-outcome');
    expect(await reader).toBe(0);
    await turns();
    held.commit();
    expect(await codeOf(clash)).toBe('no error');
    expect(held.store.view.serviceByName('web')?.id).toBe('two');
  });

  it('lets go of transactions whose signal aborts', async () => {
    const held = heldStore();
    const [a, b] = [new AbortController(), new AbortController()];
    const inFlight = codeOf(held.store.update((tx) => tx.put('service', service('a')), a.signal));
    await turns();
    const queued = codeOf(held.store.update((tx) => tx.put('service', service('b')), b.signal));
    b.abort(new SwarmError('deadline-exceeded', 'too long'));
    a.abort(new SwarmError('deadline-exceeded', 'too long'));
    expect(await queued).toBe('deadline-exceeded');
    expect(await inFlight).toBe('unknown-outcome');
    expect(held.signal()?.aborted).toBe(true);
    held.fail(new SwarmError('unknown-outcome', 'gave up'));
    await turns();
    expect(held.proposals).toHaveLength(1);
  });

  it('bounds the queue and a batch', async () => {
    const held = heldStore();
    const first = held.store.update((tx) => tx.put('service', service('first')), never);
    await turns();
    const many = Array.from({ length: 10_000 }, (_, i) =>
      held.store.update((tx) => tx.put('task', task(`t${i}`)), never),
    );
    expect(await codeOf(held.store.update((tx) => tx.count('task'), never))).toBe(
      'resource-exhausted',
    );
    while (held.store.view.count('task') < 10_000) {
      await turns();
      held.commit();
    }
    await Promise.all([first, ...many]);
    expect(held.proposals.every((changes) => changes.length <= 4_096)).toBe(true);
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
