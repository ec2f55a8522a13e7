/** The invariants of `control-loop.ts` over random requests, outcomes and passing of time. */
import * as fc from 'fast-check';
import { expect, it } from 'vitest';

import { Ledger, type Step } from './support/ledger.ts';

const KEYS = ['a', 'b', 'c'];
const key = fc.constantFrom(...KEYS);
const delay = fc.integer({ min: 0, max: 120 });

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('ask' as const), key }),
  fc.record({ kind: fc.constant('ask-later' as const), key, ms: delay }),
  fc.record({ kind: fc.constant('advance' as const), ms: delay }),
  fc.record({
    kind: fc.constant('end' as const),
    nth: fc.nat(10),
    outcome: fc.oneof(fc.constant('well' as const), fc.constant('failed' as const), delay),
  }),
);

const options = fc.record({
  concurrency: fc.integer({ min: 1, max: 3 }),
  debounceMs: fc.constantFrom(0, 30, 100),
});
const steps = fc.array(step, { maxLength: 40 });

it('runs each key one at a time, as often as it was asked, and never for nothing', async () => {
  await fc.assert(
    fc.asyncProperty(options, steps, async (options, steps) => {
      const ledger = new Ledger(options);
      for (const step of steps) await ledger.take(step);
      await ledger.finishAll();
      expect(ledger.broken).toEqual([]);
    }),
    { numRuns: 150 },
  );
});

it('whatever it is doing, once disposed it does nothing more and leaves no timer', async () => {
  await fc.assert(
    fc.asyncProperty(options, steps, async (options, steps) => {
      const ledger = new Ledger(options);
      for (const step of steps) await ledger.take(step);
      const { test } = ledger;
      const disposed = test.loop[Symbol.asyncDispose]();
      const before = test.started.length;
      for (const key of test.running) await test.finish(key, new Error('aborted'));
      await disposed;
      expect(test.clock.nextTimerInMs()).toBeUndefined();
      await test.advance(100_000);
      expect(test.started.length).toBe(before);
      expect(test.loop.size).toBe(0);
      expect(ledger.broken).toEqual([]);
    }),
    { numRuns: 50 },
  );
});
