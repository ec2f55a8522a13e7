import { describe, expect, it } from 'vitest';

import { silentLogger, SwarmError, type ControlLoopOptions } from '../src/index.ts';
import { LoopUnderTest, settled } from './support/loop-under-test.ts';

const loopWith = (options: Partial<ControlLoopOptions> = {}): LoopUnderTest =>
  new LoopUnderTest(options);

describe('a control loop', () => {
  it('queues a key once however often it is asked for', async () => {
    const test = loopWith();
    for (let i = 0; i < 5; i += 1) test.loop.enqueue('a');
    test.loop.enqueue('b');
    await settled();
    expect(test.started).toEqual(['a']);
    await test.finish('a');
    await test.finish('b');
    expect(test.started).toEqual(['a', 'b']);
    expect(test.loop.size).toBe(0);
  });

  it('runs a key once more, and only once, after requests during its run', async () => {
    const test = loopWith({ concurrency: 4 });
    test.loop.enqueue('a');
    await settled();
    for (let i = 0; i < 3; i += 1) test.loop.enqueue('a');
    await settled();
    expect(test.started).toEqual(['a']);
    await test.finish('a');
    expect(test.started).toEqual(['a', 'a']);
    await test.finish('a');
    expect(test.started).toEqual(['a', 'a']);
    expect(test.loop.size).toBe(0);
  });

  it('runs as many keys at the same time as it may', async () => {
    const test = loopWith({ concurrency: 2 });
    for (const key of ['a', 'b', 'c']) test.loop.enqueue(key);
    await settled();
    expect(test.running).toEqual(['a', 'b']);
    await test.finish('b');
    expect(test.running).toEqual(['a', 'c']);
  });

  it('runs at once the first time, then waits so that changes gather', async () => {
    const test = loopWith({ debounceMs: 100 });
    test.loop.enqueue('a');
    await settled();
    expect(test.running).toEqual(['a']);
    await test.finish('a');
    test.loop.enqueue('a');
    await test.advance(60);
    test.loop.enqueue('a');
    await test.advance(39);
    expect(test.started).toHaveLength(1);
    await test.advance(1);
    expect(test.started).toHaveLength(2);
    await test.finish('a');
    await test.advance(100);
    test.loop.enqueue('a');
    await settled();
    expect(test.started).toHaveLength(3);
  });

  it('forgets a key only when its newest debounce window is over', async () => {
    const test = loopWith({ debounceMs: 100, concurrency: 2 });
    test.loop.enqueue('a');
    await settled();
    await test.finish('a');
    test.loop.enqueueAfter('a', 50);
    await test.advance(50);
    await test.finish('a');
    await test.advance(60);
    expect(test.loop.size).toBe(1);
    test.loop.enqueue('a');
    await settled();
    expect(test.running).toEqual([]);
    await test.advance(40);
    expect(test.running).toEqual(['a']);
    await test.advance(500);
    test.loop.enqueue('a');
    await settled();
    expect(test.running).toEqual(['a']);
  });

  it('tries a failed key again, later and later, and from the start after a success', async () => {
    const warnings: object[] = [];
    const test = loopWith({
      retry: { firstMs: 100, maxMs: 400 },
      random: { next: () => 0.5 }, // three quarters of a step
      logger: { ...silentLogger, warn: (fields) => void warnings.push(fields) },
    });
    test.loop.enqueue('a');
    await settled();
    for (const delay of [75, 150, 300, 300]) {
      await test.finish('a', new SwarmError('unavailable', 'no leader'));
      await test.advance(delay - 1);
      expect(test.running).toEqual([]);
      await test.advance(1);
      expect(test.running).toEqual(['a']);
    }
    await test.finish('a');
    test.loop.enqueue('a');
    await settled();
    await test.finish('a', new Error('again'));
    expect(test.clock.nextTimerInMs()).toBe(75);
    expect(warnings[0]).toEqual({ loop: 'test', key: 'a', error: 'no leader', retryInMs: 75 });
    expect(warnings).toHaveLength(5);
  });

  it('runs a key again when its run asked for it, unless something earlier does', async () => {
    const test = loopWith();
    test.loop.enqueue('a');
    await settled();
    await test.finish('a', { requeueAfterMs: 50 });
    await test.advance(49);
    expect(test.running).toEqual([]);
    await test.advance(1);
    expect(test.running).toEqual(['a']);
    await test.finish('a', { requeueAfterMs: 50 });
    test.loop.enqueue('a');
    await settled();
    await test.finish('a');
    expect(test.clock.nextTimerInMs()).toBeUndefined();
  });

  it.each([
    ['the earlier', [30, 10], 10],
    ['the earlier', [10, 30], 10],
  ])('%s of several delayed requests wins: %j', async (_what, delays, due) => {
    const test = loopWith();
    for (const delay of delays) test.loop.enqueueAfter('a', delay);
    expect(test.clock.nextTimerInMs()).toBe(due);
    await test.advance(due);
    await test.finish('a');
    await test.advance(100);
    expect(test.started).toEqual(['a']);
  });

  it('a failure of one key does not hold up another', async () => {
    const test = loopWith();
    test.loop.enqueue('a');
    test.loop.enqueue('b');
    await settled();
    await test.finish('a', new Error('broken'));
    expect(test.running).toEqual(['b']);
  });

  it('when disposed, waits for what runs and forgets all else', async () => {
    const test = loopWith({ debounceMs: 100 });
    test.loop.enqueue('old');
    await settled();
    await test.finish('old');
    test.loop.enqueueAfter('late', 1_000);
    test.loop.enqueue('a');
    test.loop.enqueue('queued');
    await settled();
    const ended: string[] = [];
    const disposals = [1, 2].map((n) =>
      test.loop[Symbol.asyncDispose]().then(() => ended.push(`disposed ${n}`)),
    );
    expect(test.signalOf('a').aborted).toBe(true);
    test.loop.enqueue('a');
    test.loop.enqueueAfter('b', 1);
    await settled();
    expect(ended).toEqual([]);
    await test.finish('a', new Error('aborted'));
    await Promise.all(disposals);
    expect(test.clock.nextTimerInMs()).toBeUndefined();
    expect(test.loop.size).toBe(0);
    await test.advance(10_000);
    expect(test.started).toEqual(['old', 'a']);
  });
});
