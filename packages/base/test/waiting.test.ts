import { getEventListeners } from 'node:events';

import { describe, expect, it } from 'vitest';

import {
  abortReason,
  AssertionError,
  Backoff,
  BoundedQueue,
  eitherSignal,
  every,
  Scope,
  sleep,
  SwarmError,
  orAborted,
  withDeadline,
} from '../src/index.ts';
import { ManualClock, SeededRandom } from '../src/testing.ts';
import { settled } from './support/loop-under-test.ts';

const never = new AbortController().signal;

describe('sleep', () => {
  it('ends when its time has come', async () => {
    const clock = new ManualClock();
    let awake = false;
    const slept = sleep(clock, 100, never).then(() => (awake = true));
    clock.advance(99);
    await Promise.resolve();
    expect(awake).toBe(false);
    clock.advance(1);
    await slept;
  });

  it('ends at once with the reason of its signal, and leaves no timer', async () => {
    const clock = new ManualClock();
    const controller = new AbortController();
    const slept = sleep(clock, 100, controller.signal);
    controller.abort(new Error('enough'));
    await expect(slept).rejects.toThrow('enough');
    await expect(sleep(clock, 100, controller.signal)).rejects.toThrow('enough');
    expect(clock.nextTimerInMs()).toBeUndefined();
  });
});

describe('every', () => {
  it('comes again until it is disposed, also from within', () => {
    const clock = new ManualClock();
    let times = 0;
    const ticks = every(clock, 100, () => {
      times += 1;
      if (times === 3) ticks[Symbol.dispose]();
    });
    clock.advance(99);
    expect(times).toBe(0);
    clock.advance(101);
    expect(times).toBe(2);
    clock.advance(1_000);
    expect(times).toBe(3);
    expect(clock.nextTimerInMs()).toBeUndefined();
  });
});

describe('abortReason', () => {
  it('is an Error whatever was given', () => {
    const own = new Error('own');
    expect(abortReason(AbortSignal.abort(own))).toBe(own);
    expect(abortReason(AbortSignal.abort('text'))).toMatchObject({ code: 'cancelled' });
  });
});

describe('orAborted', () => {
  it('gives what the work comes to, and leaves no listener behind', async () => {
    const { signal } = new AbortController();
    expect(await orAborted(Promise.resolve(7), signal)).toBe(7);
    await expect(orAborted(Promise.reject(new Error('no')), signal)).rejects.toThrow('no');
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  it('throws the reason of a signal that aborts before, or has long', async () => {
    const controller = new AbortController();
    const work = Promise.withResolvers<number>();
    const waiting = orAborted(work.promise, controller.signal);
    controller.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    await expect(orAborted(work.promise, controller.signal)).rejects.toThrow('enough');
    // Nobody is left with its end.
    work.reject(new Error('no'));
    await expect(work.promise).rejects.toThrow('no');
  });
});

describe('withDeadline', () => {
  const hang = (signal: AbortSignal): Promise<never> =>
    new Promise((_, reject) => {
      signal.addEventListener('abort', () => reject(new Error('hang was aborted')));
    });
  const setUp = () => {
    const clock = new ManualClock();
    const controller = new AbortController();
    const options = { clock, timeoutMs: 100, what: 'joining', signal: controller.signal };
    return { clock, controller, options };
  };

  it('passes on a result or a failure, and leaves no timer', async () => {
    const { clock, options } = setUp();
    expect(await withDeadline(options, async () => 7)).toBe(7);
    await expect(withDeadline(options, () => Promise.reject(new Error('no')))).rejects.toThrow(
      'no',
    );
    await expect(
      withDeadline(options, () => {
        throw new Error('at once');
      }),
    ).rejects.toThrow('at once');
    expect(clock.nextTimerInMs()).toBeUndefined();
  });

  it('says what took too long, even when it ignores its signal', async () => {
    const { clock, options } = setUp();
    for (const fn of [hang, () => new Promise<never>(() => undefined)]) {
      const late = withDeadline(options, fn);
      clock.advance(100);
      await expect(late).rejects.toEqual(
        new SwarmError('deadline-exceeded', 'joining took longer than 100 ms'),
      );
    }
  });

  it('ends with the reason of the signal', async () => {
    const { clock, controller, options } = setUp();
    const stopped = withDeadline(options, hang);
    controller.abort(new Error('enough'));
    await expect(stopped).rejects.toThrow('enough');
    expect(clock.nextTimerInMs()).toBeUndefined();
  });

  it('does not even start when the signal has aborted', async () => {
    const { controller, options } = setUp();
    controller.abort(new Error('enough'));
    let started = false;
    const attempt = withDeadline(options, async () => {
      started = true;
    });
    await expect(attempt).rejects.toThrow('enough');
    expect(started).toBe(false);
  });
});

describe('backoff', () => {
  it('doubles up to its maximum, and starts over after a success', () => {
    const backoff = new Backoff({ firstMs: 100, maxMs: 450 }, { next: () => 0 });
    const five = () => Array.from({ length: 5 }, () => backoff.nextMs());
    expect(five()).toEqual([50, 100, 200, 225, 225]);
    backoff.reset();
    expect(five()).toEqual([50, 100, 200, 225, 225]);
  });

  it('stays between half and the whole of its step', () => {
    const backoff = new Backoff({ firstMs: 100, maxMs: 100 }, new SeededRandom(7));
    const delays = Array.from({ length: 1_000 }, () => backoff.nextMs());
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(50);
    expect(Math.max(...delays)).toBeLessThan(100);
    expect(Math.max(...delays) - Math.min(...delays)).toBeGreaterThan(45);
  });
});

describe('a bounded queue', () => {
  it('hands out what was offered, oldest first, and refuses more than it holds', async () => {
    const queue = new BoundedQueue<number>(2);
    expect([queue.offer(1), queue.offer(2), queue.offer(3)]).toEqual([true, true, false]);
    expect(queue.size).toBe(2);
    expect([await queue.take(never), await queue.take(never)]).toEqual([1, 2]);
    expect(queue.offer(4)).toBe(true);
    expect(queue.drain()).toEqual([4]);
    expect(queue.size).toBe(0);
  });

  it('wakes who waits', async () => {
    const queue = new BoundedQueue<string>(1);
    const taken = queue.take(never);
    queue.offer('a');
    expect(await taken).toBe('a');
  });

  it('keeps waiting when somebody drained it first', async () => {
    const queue = new BoundedQueue<string>(1);
    const taken = queue.take(never);
    queue.offer('a');
    queue.drain();
    await Promise.resolve();
    queue.offer('b');
    expect(await taken).toBe('b');
  });

  it('once closed, takes nothing more but gives out what it has', async () => {
    const queue = new BoundedQueue<string>(2);
    queue.offer('a');
    queue.close();
    expect(queue.offer('b')).toBe(false);
    expect([await queue.take(never), await queue.take(never)]).toEqual(['a', undefined]);
    const waiting = new BoundedQueue<string>(1);
    const taken = waiting.take(never);
    waiting.close();
    expect(await taken).toBeUndefined();
  });

  it('stops waiting when the signal aborts, and loses nothing', async () => {
    const queue = new BoundedQueue<string>(1);
    const controller = new AbortController();
    const taken = queue.take(controller.signal);
    controller.abort(new Error('enough'));
    await expect(taken).rejects.toThrow('enough');
    queue.offer('a');
    await expect(queue.take(controller.signal)).rejects.toThrow('enough');
    expect(await queue.take(never)).toBe('a');
  });

  it('has one consumer', async () => {
    const queue = new BoundedQueue<string>(1);
    const first = queue.take(never);
    await expect(queue.take(never)).rejects.toThrow(AssertionError);
    queue.offer('a');
    expect(await first).toBe('a');
  });
});

function scopeWithLog(): { scope: Scope; log: string[] } {
  const log: string[] = [];
  const scope = new Scope((name, error) => void log.push(`${name} failed: ${String(error)}`));
  return { scope, log };
}

describe('a scope', () => {
  it('aborts, waits for its work, then disposes what it owns, newest first', async () => {
    const { scope, log } = scopeWithLog();
    scope.own({ [Symbol.dispose]: () => void log.push('first') });
    scope.defer(() => void log.push('second'));
    scope.own({
      [Symbol.asyncDispose]: async () => {
        await settled();
        log.push('third');
      },
    });
    scope.spawn('work', async (signal) => {
      await sleep(new ManualClock(), 1_000, signal).catch(() => undefined);
      await settled();
      log.push(`work ended, aborted: ${signal.aborted}`);
    });
    await scope[Symbol.asyncDispose]();
    expect(log).toEqual(['work ended, aborted: true', 'third', 'second', 'first']);
  });

  it.each([
    ['rejects', () => Promise.reject(new Error('broken'))],
    [
      'throws before its first wait',
      () => {
        throw new Error('broken');
      },
    ],
  ])('tells its owner of work that %s', async (_what, fn) => {
    const { scope, log } = scopeWithLog();
    scope.spawn('work', fn);
    await settled();
    expect(log).toEqual(['work failed: Error: broken']);
    expect(scope.signal.aborted).toBe(false);
    await scope[Symbol.asyncDispose]();
  });

  it('says nothing of work that fails because the scope is disposed', async () => {
    const { scope, log } = scopeWithLog();
    scope.spawn('work', (signal) => sleep(new ManualClock(), 1_000, signal));
    await scope[Symbol.asyncDispose]();
    expect(log).toEqual([]);
  });

  it('is disposed once, and starts nothing afterwards', async () => {
    const { scope, log } = scopeWithLog();
    scope.defer(() => void log.push('disposed'));
    await Promise.all([scope[Symbol.asyncDispose](), scope[Symbol.asyncDispose]()]);
    scope.spawn('late', async () => void log.push('late'));
    expect(log).toEqual(['disposed']);
    expect(scope.signal.reason).toEqual(
      new SwarmError('cancelled', 'the owner of this work was stopped'),
    );
  });

  it('can be disposed by its owner when work fails', async () => {
    const ended: string[] = [];
    const scope: Scope = new Scope(() => {
      void scope[Symbol.asyncDispose]().then(() => ended.push('scope'));
    });
    scope.spawn('other', async (signal) => {
      await sleep(new ManualClock(), 1_000, signal).catch(() => undefined);
      ended.push('other');
    });
    scope.spawn('work', () => Promise.reject(new Error('broken')));
    await settled();
    expect(ended).toEqual(['other', 'scope']);
  });
});

describe('either of two signals', () => {
  it('aborts with the first, and its reason', () => {
    const [a, b] = [new AbortController(), new AbortController()];
    using either = eitherSignal(a.signal, b.signal);
    expect(either.signal.aborted).toBe(false);
    b.abort(new Error('b'));
    a.abort(new Error('a'));
    expect(either.signal.reason).toEqual(new Error('b'));
  });

  it('is aborted from the start when one was', () => {
    using either = eitherSignal(
      AbortSignal.abort(new Error('before')),
      new AbortController().signal,
    );
    expect(either.signal.reason).toEqual(new Error('before'));
  });

  it('follows neither once disposed', () => {
    const a = new AbortController();
    const either = eitherSignal(a.signal, new AbortController().signal);
    either[Symbol.dispose]();
    a.abort();
    expect(either.signal.aborted).toBe(false);
  });
});
