import { expect, test } from 'vitest';

import { Coalescer } from '../src/apply/coalescer.ts';

/** Work that is done when the test says so. */
function controlled() {
  const runs: PromiseWithResolvers<void>[] = [];
  const coalescer = new Coalescer(() => {
    const run = Promise.withResolvers<void>();
    runs.push(run);
    return run.promise;
  });
  return { coalescer, runs };
}

test('requests while work runs share one run that starts after it', async () => {
  const { coalescer, runs } = controlled();
  const first = coalescer.request();
  const others = [coalescer.request(), coalescer.request(), coalescer.request()];
  expect(runs).toHaveLength(1);
  runs[0]!.resolve();
  await first;
  await Promise.resolve();
  expect(runs).toHaveLength(2);
  runs[1]!.resolve();
  await Promise.all(others);
  await coalescer.idle();
  expect(runs).toHaveLength(2);
});

test('a failure reaches those who asked for that run, and the next run starts all the same', async () => {
  const { coalescer, runs } = controlled();
  const first = coalescer.request();
  const second = coalescer.request();
  runs[0]!.reject(new Error('no'));
  await expect(first).rejects.toThrow('no');
  await Promise.resolve();
  runs[1]!.resolve();
  await expect(second).resolves.toBeUndefined();
});
