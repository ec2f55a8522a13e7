import { beforeEach, describe, expect, it } from 'vitest';

import { TurnQueue } from '../src/index.ts';
import { systemTurns } from '../src/system/index.ts';

const TURN_MS = 10;

describe('one queue of turns', () => {
  const turns: (() => void)[] = [];
  const settling: (() => void)[] = [];
  const done: string[] = [];
  let now = 0;
  let queue: TurnQueue;
  beforeEach(() => {
    for (const list of [turns, settling, done]) list.length = 0;
    queue = new TurnQueue({
      clock: { monotonic: () => now },
      turnMs: TURN_MS,
      turn: (next) => turns.push(next),
      settled: (next) => settling.push(next),
    });
  });

  /** What one turn of the event loop brings. */
  const turn = (): string => {
    const from = done.length;
    for (const next of turns.splice(0)) next();
    for (let next = settling.shift(); next !== undefined; next = settling.shift()) next();
    return done.slice(from).join(' ');
  };
  const work =
    (name: string, takesMs: number, besides: () => void = () => undefined) =>
    (): void => {
      done.push(name);
      now += takesMs;
      besides();
    };

  it('takes up what waits, oldest first, until a turn has taken its time', () => {
    for (const [name, takesMs] of [
      ['a', 4],
      ['b', 5],
      ['c', 30],
      ['d', 1],
      ['e', 0],
    ] as const) {
      queue.add(work(name, takesMs));
    }
    expect([turn(), turn(), turn()]).toEqual(['a b c', 'd e', '']);
  });

  it('who has more to do comes again behind the others, in the same turn if there is time', () => {
    const greedy = (name: string, takesMs: number): (() => void) =>
      work(name, takesMs, () => queue.add(greedy(name, takesMs)));
    queue.add(greedy('much', 6));
    queue.add(greedy('little', 1));
    expect([turn(), turn()]).toEqual(['much little much', 'little much little much']);
  });

  it('what follows from work counts as a part of it', () => {
    queue.add(work('a', 1));
    queue.add(work('b', 1));
    for (const next of turns.splice(0)) next();
    // A promise's continuation, for instance.
    now += TURN_MS;
    expect([turn(), turn()]).toEqual(['', 'b']);
  });

  it('asks for one turn at a time, and for none when nothing waits', () => {
    queue.add(work('a', 0));
    queue.add(work('b', 0));
    expect(turns).toHaveLength(1);
    expect(turn()).toBe('a b');
    expect(turns).toHaveLength(0);
    queue.add(work('c', 0));
    expect(turn()).toBe('c');
  });

  it('goes on after work that fails', () => {
    queue.add(() => {
      throw new Error('broken');
    });
    queue.add(work('next', 0));
    expect(() => turn()).toThrow('broken');
    expect(turn()).toBe('next');
  });
});

it('on the real event loop, others are served between turns, and promises are settled within them', async () => {
  const nextTurn = systemTurns(1);
  const done: string[] = [];
  const finished = Promise.withResolvers<void>();
  nextTurn(() => {
    setImmediate(() => done.push('others'));
    void Promise.resolve()
      .then(() => undefined)
      .then(() => {
        const until = performance.now() + 5;
        while (performance.now() < until);
        done.push('what follows');
      });
  });
  nextTurn(() => {
    done.push('next');
    finished.resolve();
  });
  await finished.promise;
  expect(done).toEqual(['what follows', 'others', 'next']);
});
