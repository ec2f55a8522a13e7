import type { Call, Control } from '@swarmd/api';
import { SwarmError } from '@swarmd/base';
import { ManualClock } from '@swarmd/base/testing';
import type { Node, Service, Task } from '@swarmd/model';
import { describe, expect, it } from 'vitest';

import { openDaemon, resolve, waitForConvergence, type Kind, type Progress } from '../src/index.ts';
import { node, service, task } from './support/objects.ts';

interface Moment {
  readonly service: Service;
  readonly tasks: readonly Task[];
}

/** A cluster that shows one moment at each look, the last one for ever. */
class Film {
  readonly #moments: Moment[];
  readonly #nodes: readonly Node[];
  readonly clock = new ManualClock();
  readonly controller = new AbortController();
  readonly call: Call = { signal: this.controller.signal };

  constructor(moments: readonly Moment[], nodes: readonly Node[] = []) {
    this.#moments = [...moments];
    this.#nodes = nodes;
  }

  get control(): Control {
    return {
      getService: async () => {
        const moment = this.#moments[0];
        if (moment === undefined) throw new SwarmError('not-found', 'no such service');
        return moment.service;
      },
      listTasks: async () => [...(this.#moments[0]?.tasks ?? [])],
      listNodes: async ({ filter }: { filter: { ids?: readonly string[] } }) =>
        this.#nodes.filter(({ id }) => filter.ids?.includes(id)),
    } as Partial<Control> as Control;
  }

  /** Lets time pass until the wait ends, one look after the other. @returns what was shown. */
  async play(options: { wantRollback?: boolean; last?: 'removed' } = {}): Promise<Progress[]> {
    const shown: Progress[] = [];
    let isOver = false;
    const waiting = waitForConvergence(
      {
        control: this.control,
        clock: this.clock,
        serviceId: service().id,
        onProgress: (progress) => shown.push(progress),
        wantRollback: options.wantRollback ?? false,
      },
      this.call,
    ).finally(() => (isOver = true));
    waiting.catch(() => undefined); // Told below.
    for (let look = 0; look < 20; look += 1) {
      await new Promise((resolve) => setImmediate(resolve));
      if (isOver) break;
      if (this.#moments.length > 1 || options.last === 'removed') this.#moments.shift();
      this.clock.advance(100);
    }
    if (!isOver) this.controller.abort(new SwarmError('cancelled', 'enough'));
    await waiting;
    return shown;
  }
}

const moment = (words: Parameters<typeof service>[0], ...tasks: string[]): Moment => ({
  service: service(words),
  tasks: tasks.map(task),
});

describe('waiting for convergence', () => {
  it('ends when the service is what it should be, and tells each change once', async () => {
    const preparing = moment({}, '1 preparing');
    const film = new Film([moment({}), preparing, preparing, moment({}, '1 running')]);
    const shown = await film.play();
    expect(shown.map(({ slots }) => slots[0]?.state)).toEqual(['new', 'preparing', 'running']);
    expect(film.clock.now()).toBe(300);
    expect(film.clock.nextTimerInMs()).toBeUndefined();
  });

  it('fails when the update is paused, and says what to do', async () => {
    const film = new Film([moment({ update: 'updating' }), moment({ update: 'paused' })]);
    await expect(film.play()).rejects.toMatchObject({
      code: 'failed-precondition',
      message:
        'the update is paused: update paused (see swarmctl explain service web; mend it with service update (swarmctl service update --force web tries the same spec again), or go back with: swarmctl service rollback web)',
    });
  });

  it('fails when a rollback is paused, from which no rollback leads back', async () => {
    const film = new Film([moment({ update: 'rollback-paused' })]);
    await expect(film.play()).rejects.toThrow(
      /^the rollback is paused: .* service update --force web; .* service rollback --to SPEC web/,
    );
  });

  it('fails when the update was rolled back, unless that was wanted', async () => {
    const done = moment({ update: 'rollback-completed' });
    const why = {
      code: 'update-failed',
      message: 'rolling back: task web.2 failed: no such image',
      at: 0,
    };
    const because = [why, { code: 'update-completed', message: 'rollback completed', at: 1 }];
    const moments = [
      moment({ update: 'rollback-started' }),
      { ...done, service: { ...done.service, because } },
    ];
    await expect(new Film(moments).play()).rejects.toMatchObject({
      code: 'failed-precondition',
      message:
        'the update was rolled back: rolling back: task web.2 failed: no such image (see swarmctl service ps web, and explain service web)',
    });
    await new Film(moments).play({ wantRollback: true });
  });

  it('fails when the service is removed meanwhile', async () => {
    await expect(new Film([moment({})]).play({ last: 'removed' })).rejects.toMatchObject({
      code: 'not-found',
    });
  });

  it('ends with its signal', async () => {
    const film = new Film([moment({}, '1 preparing')]);
    await expect(film.play()).rejects.toThrow('enough');
    expect(film.clock.nextTimerInMs()).toBeUndefined();
  });

  it('waits for a left-over task unless its node is down', async () => {
    const moments = [moment({}, '1 running old shutdown @n2', '1 running')];
    await expect(new Film(moments, [node('n2')]).play()).rejects.toThrow('enough');
    await new Film(moments, [node('n2', 'down')]).play();
  });
});

describe('resolving a reference', () => {
  interface Thing {
    readonly id: string;
    readonly name: string;
  }
  const things: readonly Thing[] = [
    { id: 'abc1', name: 'web' },
    { id: 'abc2', name: 'abc1' },
    { id: 'xyz1', name: 'twin' },
    { id: 'xyz2', name: 'twin' },
    { id: 'web9', name: 'other' },
  ];
  const kind: Kind<Thing> = {
    noun: 'service',
    nameOf: (thing) => thing.name,
    list: async ({ filter }) =>
      things.filter(
        ({ id, name }) =>
          filter.names?.includes(name) ||
          filter.idPrefixes?.some((prefix) => id.startsWith(prefix)),
      ),
  };
  const call = { signal: new AbortController().signal };

  it.each([
    ['a full id wins over a name', 'abc1', 'abc1'],
    ['a name wins over a prefix', 'web', 'abc1'],
    ['a prefix that fits one', 'we', 'web9'],
    ['a full id that is one of twins', 'xyz2', 'xyz2'],
  ])('%s', async (_what, reference, id) => {
    expect((await resolve(kind, reference, call)).id).toBe(id);
  });

  it.each([
    [
      'abc',
      'invalid-argument',
      'several services whose id begins with "abc": say which by id: abc1, abc2',
    ],
    ['twin', 'invalid-argument', 'several services named "twin": say which by id: xyz1, xyz2'],
    ['none', 'not-found', 'no such service: "none" (see what there is with: swarmctl service ls)'],
    ['', 'invalid-argument', 'name or id of a service is missing'],
  ])('refuses "%s"', async (reference, code, message) => {
    await expect(resolve(kind, reference, call)).rejects.toMatchObject({ code, message });
  });
});

describe('the daemon of this machine', () => {
  it('that does not run is told as such', () => {
    expect(() => openDaemon('/no/such/folder')).toThrow(
      expect.objectContaining({
        code: 'unavailable',
        message: expect.stringContaining('no daemon at /no/such/folder/swarmd.sock') as string,
      }) as Error,
    );
  });
});
