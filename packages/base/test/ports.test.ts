import { describe, expect, it } from 'vitest';

import {
  assert,
  AssertionError,
  errorCode,
  errorMessage,
  SwarmError,
  unreachable,
} from '../src/index.ts';
import { ManualClock, SeededRandom, SequentialIds } from '../src/testing.ts';

describe('errors', () => {
  it.each([
    [new SwarmError('not-found', 'no such service'), 'not-found', 'no such service'],
    [AbortSignal.abort().reason, 'cancelled', 'This operation was aborted'],
    [new TypeError('x is undefined'), 'internal', 'x is undefined'],
    ['text', 'internal', 'text'],
    [undefined, 'internal', 'undefined'],
  ])('%s has the code %s', (error: unknown, code, message) => {
    expect(errorCode(error)).toBe(code);
    expect(errorMessage(error)).toBe(message);
  });

  it('keep their cause', () => {
    const cause = new Error('disk full');
    expect(new SwarmError('internal', 'cannot write', { cause }).cause).toBe(cause);
  });

  it('assert crashes on a broken invariant only', () => {
    expect(() => assert(true, 'fine')).not.toThrow();
    expect(() => assert(0, 'index grows')).toThrow(new AssertionError('index grows'));
    expect(() => assert(0, 'index grows')).toThrow('invariant broken: index grows');
    expect(() => unreachable({ kind: 'new' } as never)).toThrow(
      'unexpected variant {"kind":"new"}',
    );
  });
});

describe('the manual clock', () => {
  it('fires in order of time, then of creation, each timer at its own time', () => {
    const clock = new ManualClock(1_000);
    const fired: string[] = [];
    for (const [name, delay] of [
      ['c', 20],
      ['a', 10],
      ['b', 10],
      ['late', 31],
      ['past', -5],
    ] as const)
      clock.after(delay, () => fired.push(`${name}@${clock.now()}`));
    clock.advance(30);
    expect(fired).toEqual(['past@1000', 'a@1010', 'b@1010', 'c@1020']);
    expect([clock.now(), clock.monotonic(), clock.nextTimerInMs()]).toEqual([1_030, 1_030, 1]);
  });

  it('fires what a timer sets while it advances, and nothing that was cancelled', () => {
    const clock = new ManualClock();
    const fired: number[] = [];
    const again = (): void => {
      fired.push(clock.now());
      clock.after(10, again);
    };
    clock.after(10, again);
    const cancelled = clock.after(5, () => fired.push(-1));
    cancelled.cancel();
    cancelled.cancel();
    clock.advance(35);
    expect(fired).toEqual([10, 20, 30]);
  });

  it('never goes back, even when a timer advances it', () => {
    const clock = new ManualClock();
    clock.after(10, () => clock.advance(100));
    clock.advance(20);
    expect(clock.now()).toBe(110);
  });
});

describe('seeded chance and counted ids', () => {
  it('are the same every time, and spread', () => {
    const draw = (seed: number): number[] => {
      const random = new SeededRandom(seed);
      return Array.from({ length: 1_000 }, () => random.below(10));
    };
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
    expect(new Set(draw(1))).toEqual(new Set([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]));
    const ids = new SequentialIds('task');
    expect([ids.next(), ids.next()]).toEqual(['task1', 'task2']);
  });
});
