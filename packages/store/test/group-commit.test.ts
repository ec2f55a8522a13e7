import { SwarmError } from '@swarmd/base';
import { describe, expect, it } from 'vitest';

import { heldStore } from './support/held-store.ts';
import { codeOf, never, service, task, turns } from './support/objects.ts';

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

  it('looks again when what a large batch was decided on has changed before it leaves', async () => {
    const gathering: (() => void)[] = [];
    const held = heldStore((next) => gathering.push(next));
    const services = Array.from({ length: 100 }, (_, at) => service(`s${at}`));
    const seen: number[] = [];
    const write = held.store.update((tx) => {
      seen.push(tx.count('service'));
      for (const one of services) tx.put('service', one);
    }, never);
    const gone = new AbortController();
    const impatient = held.store.update((tx) => tx.put('service', service('late')), gone.signal);
    gathering.shift()?.();
    await turns();
    // Of another leader, which this member follows meanwhile.
    held.store.apply(7, [{ kind: 'put', table: 'service', object: service('other') }]);
    gone.abort(new SwarmError('deadline-exceeded', 'too long'));
    expect(await codeOf(impatient)).toBe('unknown-outcome');
    for (let turn = 0; turn < 10; turn += 1) {
      gathering.shift()?.();
      await turns();
      held.commit();
    }
    await write;
    expect(seen).toEqual([0, 1]);
    expect(held.proposals.map((changes) => changes.length)).toEqual([100]);
  });

  it('takes less of what is patient where somebody waits for the batch', async () => {
    const held = heldStore();
    const first = held.store.update((tx) => tx.put('service', service('first')), never);
    await turns();
    const plan = (name: string): Promise<void> =>
      held.store.update(
        (tx) => {
          for (let at = 0; at < 100; at += 1) tx.put('task', task(`${name}${at}`));
          held.clock.advance(2);
        },
        never,
        { isPatient: true },
      );
    const all = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((name) => plan(name));
    all.push(held.store.update((tx) => tx.put('service', service('user')), never));
    for (let batch = 0; batch < 4; batch += 1) {
      held.commit();
      await turns();
    }
    await Promise.all([first, ...all]);
    expect(held.proposals.map((changes) => changes.length)).toEqual([1, 201, 400, 100]);
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
